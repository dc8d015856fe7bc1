/* SPDX-License-Identifier: MIT */
/* SHA-256 (NIST FIPS 180-4), for code without a C library. */
#ifndef VB_SHA256_H
#define VB_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_BLOCK	64
#define SHA256_DIGEST	32

struct sha256 {
	uint32_t state[8];
	uint64_t bytes;			/* message bytes seen */
	uint8_t block[SHA256_BLOCK];	/* of these, the last bytes % 64 */
};

void sha256_init(struct sha256 *h);
void sha256_update(struct sha256 *h, const void *data, size_t bytes);

/* Pads and writes the digest; `h` then needs sha256_init() before further use. */
void sha256_final(struct sha256 *h, uint8_t digest[SHA256_DIGEST]);

#endif
