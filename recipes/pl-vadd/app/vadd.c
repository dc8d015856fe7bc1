/* SPDX-License-Identifier: MIT */
/* Adds vectors in the programmable logic and checks each element in software. */
#include <stdio.h>

#include "app.h"
#include "designs.h"

#define LARGEST	20000	/* elements */

int main(int argc, char **argv)
{
	static uint32_t x[LARGEST], y[LARGEST], sum[LARGEST];
	struct accelerator vadd;
	unsigned int round = 0;

	app_begin(argc, argv, "adds vectors by the accelerator vadd and checks the sums");
	accelerator_open(&vadd, "vadd", VADD_ID);
	while (app_round(&round)) {
		size_t count = 1 + (round * 4099) % LARGEST;
		double took;

		design_data(x, count);
		design_data(y, count);
		took = design_vadd(&vadd, x, y, sum, count);
		design_check_vadd(round, x, y, sum, count);
		printf("round %u: %zu sums, all right, %.1f ms\n", round, count, took);
	}
	return 0;
}
