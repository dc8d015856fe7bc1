/* SPDX-License-Identifier: MIT */
#include <stdint.h>

#include "barrier.h"
#include "ipi.h"
#include "vboard.h"

#define ADMA_CHANNEL	(VB_ADMA_BASE + VB_ADMA_CHANNEL_IPI * VB_ADMA_STRIDE)

/* Zynq UltraScale+ register reference (UG1087), ADMA_CHn */
#define ADMA_CTRL0	0x110	/* 0: simple mode, descriptor in the registers */
#define ADMA_SRC	0x128	/* address low, address high, bytes, flags */
#define ADMA_DST	0x138
#define ADMA_CTRL2	0x200
#define ADMA_CTRL2_EN	(1u << 0)

static uint32_t scratch[2];

static volatile uint32_t *reg(uintptr_t base, uintptr_t offset)
{
	return (volatile uint32_t *)(base + offset);
}

static void describe(uintptr_t offset, const uint32_t *word)
{
	*reg(ADMA_CHANNEL, offset + 0x0) = (uint32_t)word;
	*reg(ADMA_CHANNEL, offset + 0x4) = 0;
	*reg(ADMA_CHANNEL, offset + 0x8) = sizeof(*word);
	*reg(ADMA_CHANNEL, offset + 0xc) = 0;
}

void ipi_init(void)
{
	*reg(ADMA_CHANNEL, ADMA_CTRL0) = 0;
	describe(ADMA_SRC, &scratch[0]);
	describe(ADMA_DST, &scratch[1]);
	dsb();
}

bool ipi_taken(void)
{
	uint32_t kick = *reg(VB_IPI_REGS_BASE, VB_IPI_APU_TO_RPU_KICK);

	if (kick == *reg(VB_IPI_REGS_BASE, VB_IPI_APU_TO_RPU_ACK))
		return false;
	*reg(VB_IPI_REGS_BASE, VB_IPI_APU_TO_RPU_ACK) = kick;
	dmb();
	return true;
}

void ipi_ring(void)
{
	dsb();
	*reg(VB_IPI_REGS_BASE, VB_IPI_RPU_TO_APU_KICK) += 1;
	dsb();
	/* The end of this transfer is the interrupt; EL3 decides whether it is enabled. */
	*reg(ADMA_CHANNEL, ADMA_CTRL2) = ADMA_CTRL2_EN;
	dsb();
}
