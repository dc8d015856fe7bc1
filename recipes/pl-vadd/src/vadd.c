/* SPDX-License-Identifier: MIT */
/* Vector addition: c[i] = a[i] + b[i] modulo 2^32, over vectors in the slot's DMA memory. */
#include "pl.h"

#define ID		0x44444156	/* "VADD" */
#define VERSION		0x00010000
#define CHUNK		1024		/* elements a step */

/* Own registers: word indices from PL_REG_OWN */
#define REG_A		0		/* physical addresses */
#define REG_B		1
#define REG_C		2		/* may be A or B */
#define REG_COUNT	3		/* elements of 32 bits */

static struct {
	const uint32_t *a, *b;
	uint32_t *c;
	uint32_t count;
} job;

static uint32_t begin(uint32_t slot, volatile uint32_t *own)
{
	uint32_t count = own[REG_COUNT];
	uint32_t error;
	void *a, *b, *c;

	if (count > VB_PL_DMA_SIZE / 4)
		return PL_ERROR_LENGTH;
	error = pl_dma(slot, own[REG_A], 4 * count, 4, &a);
	if (!error)
		error = pl_dma(slot, own[REG_B], 4 * count, 4, &b);
	if (!error)
		error = pl_dma(slot, own[REG_C], 4 * count, 4, &c);
	if (error)
		return error;
	job.a = a;
	job.b = b;
	job.c = c;
	job.count = count;
	return 0;
}

static uint32_t advance(uint32_t slot, volatile uint32_t *own, uint32_t *work)
{
	uint32_t i = *work;
	uint32_t end = job.count - i > CHUNK ? i + CHUNK : job.count;

	(void)slot;
	(void)own;
	for (; i < end; i++)
		job.c[i] = job.a[i] + job.b[i];
	*work = i;
	return i == job.count;
}

static struct pl_accelerator vadd = {
	.id = ID,
	.version = VERSION,
	.begin = begin,
	.advance = advance,
};

static void init(uint32_t slot)
{
	pl_accelerator_init(&vadd, slot);
}

static uint32_t step(uint32_t slot)
{
	return pl_accelerator_step(&vadd, slot);
}

PL_DESIGN(init, step);
