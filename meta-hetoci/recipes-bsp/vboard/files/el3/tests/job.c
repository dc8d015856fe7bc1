/* SPDX-License-Identifier: MIT */
#include "mem.h"
#include "sha256.h"
#include "test.h"

static uint64_t address(uint32_t slot, uint32_t index)
{
	return VB_SLOT_REGS_BASE + slot * VB_REGS_SIZE + 4 * index;
}

uint32_t reg(uint32_t slot, uint32_t index)
{
	return read32(address(slot, index));
}

void set_reg(uint32_t slot, uint32_t index, uint32_t value)
{
	write32(address(slot, index), value);
}

bool has_id(uint32_t slot, uint32_t id)
{
	return becomes(address(slot, PL_REG_ID), ~0u, id, PATIENCE_MS);
}

static void start(uint32_t slot, const uint32_t *own, uint32_t count, uint32_t ctrl)
{
	for (uint32_t i = 0; i < count; i++)
		set_reg(slot, PL_REG_OWN + i, own[i]);
	barrier();
	set_reg(slot, PL_REG_CTRL, PL_CTRL_START | ctrl);
	barrier();
}

void start_vadd(uint32_t slot, uint32_t a, uint32_t b, uint32_t c, uint32_t count, uint32_t ctrl)
{
	uint32_t own[] = { a, b, c, count };

	start(slot, own, 4, ctrl);
}

void start_sha256(uint32_t slot, uint32_t message, uint32_t length, uint32_t to, uint32_t ctrl)
{
	uint32_t own[] = { message, length, to };

	start(slot, own, 3, ctrl);
}

uint32_t end_job(uint32_t slot)
{
	if (!becomes(address(slot, PL_REG_CTRL), PL_CTRL_START, 0, PATIENCE_MS) ||
	    !becomes(address(slot, PL_REG_STATUS), PL_STATUS_BUSY, 0, PATIENCE_MS))
		return 0;
	return reg(slot, PL_REG_STATUS);
}

void fill_dma(uint32_t slot, uint32_t bytes, uint32_t seed)
{
	for (uint32_t i = 0; i < bytes; i += 4) {
		seed = seed * 1664525 + 1013904223;
		write32(DMA(slot) + i, seed);
	}
	barrier();
}

bool sha256_right(uint32_t slot, uint32_t message, uint32_t length, uint32_t to)
{
	uint8_t digest[SHA256_DIGEST];
	struct sha256 sha;
	bool right = true;

	sha256_init(&sha);
	sha256_update(&sha, (void *)(uint64_t)message, length);
	sha256_final(&sha, digest);
	for (uint32_t i = 0; i < SHA256_DIGEST; i++)
		right &= digest[i] == (uint8_t)(reg(slot, PL_REG_OWN + 8 + i / 4) >> (24 - 8 * (i % 4)));
	return right && (!to || memcmp((void *)(uint64_t)to, digest, sizeof(digest)) == 0);
}

bool vadd_right(uint32_t a, uint32_t b, uint32_t c, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (read32(c + 4 * i) != read32(a + 4 * i) + read32(b + 4 * i))
			return false;
	}
	return true;
}
