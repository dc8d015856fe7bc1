/* SPDX-License-Identifier: MIT */
/* Hashes messages in the programmable logic and checks each digest in software. */
#include <stdio.h>
#include <string.h>

#include "app.h"
#include "designs.h"

#define LARGEST	65536	/* bytes */

/* NIST FIPS 180-4, example: hardware and software could be wrong in the same way. */
static void check_known_answer(struct accelerator *sha256)
{
	static const char right[] =
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
	uint32_t message = 0;
	char hex[65];

	memcpy(&message, "abc", 3);
	design_sha256(sha256, &message, 3, hex);
	if (strcmp(hex, right) != 0)
		app_fail("the digest of abc is %s, right would be %s", hex, right);
}

int main(int argc, char **argv)
{
	static uint32_t message[LARGEST / 4];
	struct accelerator sha256;
	unsigned int round = 0;

	app_begin(argc, argv, "hashes messages by the accelerator sha256 and checks the digests");
	accelerator_open(&sha256, "sha256", SHA256_ID);
	check_known_answer(&sha256);
	while (app_round(&round)) {
		size_t bytes = (round * 9973) % LARGEST;
		char hex[65];
		double took;

		design_data(message, (bytes + 3) / 4);
		took = design_sha256(&sha256, message, bytes, hex);
		design_check_sha256(round, message, bytes, hex);
		printf("round %u: %zu bytes, sha256 %s, right, %.1f ms\n", round, bytes, hex, took);
	}
	return 0;
}
