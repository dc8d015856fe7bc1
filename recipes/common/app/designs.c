/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "app.h"
#include "designs.h"
#include "sha256.h"

#define REG_DIGEST	8	/* of sha256: first of the eight words of the digest */

void design_data(uint32_t *words, size_t count)
{
	static uint32_t state = 0x2545f491;

	for (size_t n = 0; n < count; n++) {
		/* Marsaglia, "Xorshift RNGs", 2003 */
		state ^= state << 13;
		state ^= state >> 17;
		state ^= state << 5;
		words[n] = state;
	}
}

double design_vadd(struct accelerator *a, const uint32_t *x, const uint32_t *y, uint32_t *sum,
		   size_t count)
{
	size_t bytes = 4 * count;
	double took;

	if (3 * bytes > a->bytes)
		app_fail("%s: three vectors of %zu elements do not fit %zu bytes", a->name, count,
			 a->bytes);
	accelerator_put(a, 0, x, bytes);
	accelerator_put(a, bytes, y, bytes);
	for (unsigned int n = 0; n < 3; n++)
		accelerator_set(a, n, a->address + n * (uint32_t)bytes);
	accelerator_set(a, 3, (uint32_t)count);
	took = accelerator_run(a);
	accelerator_get(a, 2 * bytes, sum, bytes);
	return took;
}

void design_check_vadd(unsigned int round, const uint32_t *x, const uint32_t *y,
		       const uint32_t *sum, size_t count)
{
	for (size_t n = 0; n < count; n++)
		if (sum[n] != x[n] + y[n])
			app_fail("round %u: element %zu is 0x%08x, right would be 0x%08x", round, n,
				 sum[n], x[n] + y[n]);
}

double design_sha256(struct accelerator *a, const uint32_t *message, size_t bytes, char hex[65])
{
	double took;

	if (bytes > a->bytes)
		app_fail("%s: %zu bytes do not fit %zu", a->name, bytes, a->bytes);
	accelerator_put(a, 0, message, bytes);
	accelerator_set(a, 0, a->address);
	accelerator_set(a, 1, (uint32_t)bytes);
	accelerator_set(a, 2, 0);
	took = accelerator_run(a);
	for (unsigned int n = 0; n < 8; n++)
		sprintf(hex + 8 * n, "%08x", accelerator_own(a, REG_DIGEST + n));
	return took;
}

void design_check_sha256(unsigned int round, const void *message, size_t bytes, const char *hex)
{
	uint8_t digest[SHA256_DIGEST];
	struct sha256 hash;
	char right[65];

	sha256_init(&hash);
	sha256_update(&hash, message, bytes);
	sha256_final(&hash, digest);
	for (unsigned int n = 0; n < SHA256_DIGEST; n++)
		sprintf(right + 2 * n, "%02x", digest[n]);
	if (strcmp(hex, right) != 0)
		app_fail("round %u: the digest of %zu bytes is %s, right would be %s", round, bytes,
			 hex, right);
}
