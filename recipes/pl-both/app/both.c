/* SPDX-License-Identifier: MIT */
/* Adds vectors by one accelerator, hashes the sums by another, checks both in software. */
#include <stdio.h>

#include "app.h"
#include "designs.h"

#define LARGEST	10000	/* elements */

int main(int argc, char **argv)
{
	static uint32_t x[LARGEST], y[LARGEST], sums[LARGEST];
	struct accelerator sum, hash;
	unsigned int round = 0;

	app_begin(argc, argv, "adds vectors by the accelerator sum, hashes the sums by hash");
	accelerator_open(&sum, "sum", VADD_ID);
	accelerator_open(&hash, "hash", SHA256_ID);
	while (app_round(&round)) {
		size_t count = 1 + (round * 2053) % LARGEST;
		double adding, hashing;
		char hex[65];

		design_data(x, count);
		design_data(y, count);
		adding = design_vadd(&sum, x, y, sums, count);
		design_check_vadd(round, x, y, sums, count);
		hashing = design_sha256(&hash, sums, 4 * count, hex);
		design_check_sha256(round, sums, 4 * count, hex);
		printf("round %u: %zu sums in %.1f ms, sha256 %s in %.1f ms, right\n", round, count,
		       adding, hex, hashing);
	}
	return 0;
}
