/* SPDX-License-Identifier: MIT */
#include "mem.h"
#include "sha256.h"
#include "test.h"

uint32_t stage(enum image_id id)
{
	memcpy((void *)STAGE, images[id].data, images[id].bytes);
	return (uint32_t)images[id].bytes;
}

void reseal(void)
{
	struct bitstream_header *h = (void *)STAGE;
	struct sha256 sha;

	memset(h->digest, 0, sizeof(h->digest));
	sha256_init(&sha);
	sha256_update(&sha, h, sizeof(*h) + h->length);
	sha256_final(&sha, h->digest);
}

uint32_t load(uint32_t bytes, uint32_t flags)
{
	barrier();
	return eemi(22, (uint32_t)STAGE, 0, bytes, flags, NULL);
}

uint32_t load_image(enum image_id id, uint32_t flags)
{
	return load(stage(id), flags);
}

void decouple(uint32_t slot)
{
	write32(VB_DECOUPLER_BASE + slot * VB_REGS_SIZE, 1);
	barrier();
}

void couple(uint32_t slot)
{
	write32(VB_DECOUPLER_BASE + slot * VB_REGS_SIZE, 0);
	barrier();
}

uint32_t shell_reg(uint32_t index)
{
	return read32(VB_SHELL_REGS_BASE + 4 * index);
}
