/* SPDX-License-Identifier: MIT */
#include "mem.h"
#include "sha256.h"

/* FIPS 180-4, 4.2.2 */
static const uint32_t round_constant[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotr(uint32_t x, unsigned int n)
{
	return x >> n | x << (32 - n);
}

static uint32_t big_endian(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* FIPS 180-4, 6.2.2 step 1: the message schedule, kept as a ring of 16 words. */
static uint32_t schedule(uint32_t *w, unsigned int t)
{
	uint32_t w15 = w[(t + 1) & 15], w2 = w[(t + 14) & 15];

	w[t & 15] += (rotr(w15, 7) ^ rotr(w15, 18) ^ w15 >> 3) + w[(t + 9) & 15] +
		     (rotr(w2, 17) ^ rotr(w2, 19) ^ w2 >> 10);
	return w[t & 15];
}

/* FIPS 180-4, 6.2.2 */
static void compress(uint32_t state[8], const uint8_t *block)
{
	uint32_t w[16];
	uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
	uint32_t e = state[4], f = state[5], g = state[6], h = state[7];

	for (unsigned int t = 0; t < 64; t++) {
		uint32_t word = t < 16 ? (w[t] = big_endian(block + 4 * t)) : schedule(w, t);
		uint32_t t1 = h + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + ((e & f) ^ (~e & g)) +
			      round_constant[t] + word;
		uint32_t t2 = (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) +
			      ((a & b) ^ (a & c) ^ (b & c));

		h = g;
		g = f;
		f = e;
		e = d + t1;
		d = c;
		c = b;
		b = a;
		a = t1 + t2;
	}
	state[0] += a;
	state[1] += b;
	state[2] += c;
	state[3] += d;
	state[4] += e;
	state[5] += f;
	state[6] += g;
	state[7] += h;
}

void sha256_init(struct sha256 *h)
{
	/* FIPS 180-4, 5.3.3 */
	static const uint32_t initial[8] = {
		0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
		0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
	};

	memcpy(h->state, initial, sizeof(initial));
	h->bytes = 0;
}

void sha256_update(struct sha256 *h, const void *data, size_t bytes)
{
	const uint8_t *p = data;
	size_t used = h->bytes % SHA256_BLOCK;

	h->bytes += bytes;
	if (used != 0) {
		size_t take = SHA256_BLOCK - used;

		if (take > bytes)
			take = bytes;
		memcpy(h->block + used, p, take);
		p += take;
		bytes -= take;
		if (used + take < SHA256_BLOCK)
			return;
		compress(h->state, h->block);
	}
	for (; bytes >= SHA256_BLOCK; bytes -= SHA256_BLOCK, p += SHA256_BLOCK)
		compress(h->state, p);
	memcpy(h->block, p, bytes);
}

void sha256_final(struct sha256 *h, uint8_t digest[SHA256_DIGEST])
{
	/* FIPS 180-4, 5.1.1: a one bit, zeros, the length in bits */
	static const uint8_t padding[SHA256_BLOCK] = { 0x80 };
	uint64_t bits = h->bytes * 8;
	size_t used = h->bytes % SHA256_BLOCK;
	uint8_t length[8];

	for (unsigned int i = 0; i < 8; i++)
		length[i] = (uint8_t)(bits >> (56 - 8 * i));
	sha256_update(h, padding, (used < 56 ? 56 : 120) - used);
	sha256_update(h, length, sizeof(length));
	for (unsigned int i = 0; i < SHA256_DIGEST; i++)
		digest[i] = (uint8_t)(h->state[i / 4] >> (24 - 8 * (i % 4)));
}
