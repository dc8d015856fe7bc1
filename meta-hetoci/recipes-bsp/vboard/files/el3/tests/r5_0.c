/* SPDX-License-Identifier: MIT */
/*
 * The tests' firmware for R5_0: counts, answers every kick with one of its own, and on a
 * word from the test kicks by itself.
 */
#include <stdint.h>

#include "r5_0.h"
#include "vboard.h"

#define ADMA(offset)	(VB_ADMA_BASE + VB_ADMA_CHANNEL_IPI * VB_ADMA_STRIDE + (offset))
#define IPI(offset)	(VB_IPI_REGS_BASE + (offset))

static volatile uint32_t *word(uint32_t address)
{
	return (volatile uint32_t *)address;
}

static void ring(void)
{
	*word(IPI(VB_IPI_RPU_TO_APU_KICK)) += 1;
	__asm__ volatile("dsb sy" ::: "memory");
	*word(ADMA(0x200)) = 1;
}

void firmware(void);
void firmware(void)
{
	static const uint32_t descriptor[] = { R5_0_SCRATCH, 0, 4, 0 };

	*word(ADMA(0x110)) = 0;
	for (uint32_t i = 0; i < 4; i++) {
		*word(ADMA(0x128) + 4 * i) = descriptor[i];
		*word(ADMA(0x138) + 4 * i) = descriptor[i];
	}
	*word(R5_0_STARTS) += 1;
	for (;;) {
		uint32_t kick = *word(IPI(VB_IPI_APU_TO_RPU_KICK));

		*word(R5_0_COUNT) += 1;
		if (*word(R5_0_KICK_NOW)) {
			ring();
			*word(R5_0_KICK_NOW) = 0;
		}
		if (kick != *word(IPI(VB_IPI_APU_TO_RPU_ACK))) {
			*word(IPI(VB_IPI_APU_TO_RPU_ACK)) = kick;
			ring();
		}
	}
}

__attribute__((naked, section(".start"))) void _start(void);
void _start(void)
{
	__asm__ volatile("mov sp, %0; b firmware" :: "i"(R5_0_STACK));
}
