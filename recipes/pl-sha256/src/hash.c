/* SPDX-License-Identifier: MIT */
/* SHA-256 (NIST FIPS 180-4) of a message in the slot's DMA memory. */
#include "pl.h"
#include "sha256.h"

#define ID		0x32414853	/* "SHA2" */
#define VERSION		0x00010000
#define CHUNK		(16 * SHA256_BLOCK)	/* message bytes a step */

/* Own registers: word indices from PL_REG_OWN */
#define REG_MESSAGE	0		/* physical address */
#define REG_LENGTH	1		/* bytes, may be 0 */
#define REG_DESTINATION	2		/* physical address of 32 bytes for the digest, or 0 */
#define REG_DIGEST	8		/* eight words, the first holds the digest's first bytes */

static struct {
	const uint8_t *message;
	uint8_t *destination;	/* or NULL */
	uint32_t length;
	struct sha256 sha;
} job;

static uint32_t begin(uint32_t slot, volatile uint32_t *own)
{
	uint32_t destination = own[REG_DESTINATION];
	void *message, *digest = 0;
	uint32_t error;

	job.length = own[REG_LENGTH];
	error = pl_dma(slot, own[REG_MESSAGE], job.length, 1, &message);
	if (!error && destination)
		error = pl_dma(slot, destination, SHA256_DIGEST, 4, &digest);
	if (error)
		return error;
	job.message = message;
	job.destination = digest;
	sha256_init(&job.sha);
	return 0;
}

static void finish(volatile uint32_t *own)
{
	uint8_t digest[SHA256_DIGEST];

	sha256_final(&job.sha, digest);
	for (uint32_t i = 0; i < SHA256_DIGEST / 4; i++)
		own[REG_DIGEST + i] = job.sha.state[i];
	for (uint32_t i = 0; job.destination && i < SHA256_DIGEST; i++)
		job.destination[i] = digest[i];
}

static uint32_t advance(uint32_t slot, volatile uint32_t *own, uint32_t *work)
{
	uint32_t left = job.length - *work;
	uint32_t take = left > CHUNK ? CHUNK : left;

	(void)slot;
	sha256_update(&job.sha, job.message + *work, take);
	*work += take;
	if (*work < job.length)
		return 0;
	finish(own);
	return 1;
}

static struct pl_accelerator accelerator = {
	.id = ID,
	.version = VERSION,
	.begin = begin,
	.advance = advance,
};

static void init(uint32_t slot)
{
	pl_accelerator_init(&accelerator, slot);
}

static uint32_t step(uint32_t slot)
{
	return pl_accelerator_step(&accelerator, slot);
}

PL_DESIGN(init, step);
