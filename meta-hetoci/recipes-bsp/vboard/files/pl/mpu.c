/* SPDX-License-Identifier: MIT */
/*
 * What R5_1 may reach (Cortex-R5 TRM, DDI 0460, 7.1 and 4.3.19 onwards): its programs, the
 * logic's windows and memory, its interrupt lines. Anything else faults: a design that
 * goes astray costs its slot, not Linux or R5_0. Slots are not kept from each other.
 */
#include "mpu.h"
#include "vboard.h"

#define SCTLR_M		(1u << 0)
#define ENABLE		(1u << 0)
#define SIZE(log2)	(((log2) - 1u) << 1)
#define READ_WRITE	(3u << 8)
#define READ_ONLY	(6u << 8)
#define NO_EXECUTE	(1u << 12)

/* The later region wins where two overlap. A base is a multiple of the region's size. */
static const struct {
	uint32_t base, size, access;
} regions[] = {
	{ VB_SHELL_CODE_BASE, SIZE(17), READ_WRITE },		/* VB_SHELL_CODE_SIZE */
	{ VB_SLOT_CODE_BASE, SIZE(18), READ_WRITE },		/* four slots' programs */
	{ VB_PL_DMA_BASE, SIZE(22), READ_WRITE | NO_EXECUTE },	/* four slots' DMA memory */
	{ VB_OCM_BASE, SIZE(16), READ_WRITE | NO_EXECUTE },	/* windows, decouplers, EL3's page */
	{ VB_ADMA_BASE, SIZE(18), READ_WRITE | NO_EXECUTE },	/* channels 0 to 3 */
	{ VB_PL_VECTORS_BASE, SIZE(8), READ_ONLY },
};

_Static_assert(VB_SHELL_CODE_SIZE == 1 << 17 && VB_NUM_SLOTS * VB_SLOT_CODE_SIZE == 1 << 18 &&
	       VB_NUM_SLOTS * VB_PL_DMA_SIZE == 1 << 22 && VB_EL3_SHELL_BASE < VB_OCM_BASE + (1 << 16) &&
	       VB_NUM_SLOTS * VB_ADMA_STRIDE == 1 << 18 && VB_ADMA_CHANNEL_SLOT0 == 0,
	       "the MPU's regions follow vboard.h");

void mpu_enable(void)
{
	uint32_t control;

	for (uint32_t n = 0; n < sizeof(regions) / sizeof(regions[0]); n++) {
		__asm__ volatile("mcr p15, 0, %0, c6, c2, 0" :: "r"(n));		/* RGNR */
		__asm__ volatile("mcr p15, 0, %0, c6, c1, 0" :: "r"(regions[n].base));	/* DRBAR */
		__asm__ volatile("mcr p15, 0, %0, c6, c1, 4" :: "r"(regions[n].access)); /* DRACR */
		__asm__ volatile("mcr p15, 0, %0, c6, c1, 2" :: "r"(regions[n].size | ENABLE)); /* DRSR */
	}
	__asm__ volatile("mrc p15, 0, %0, c1, c0, 0" : "=r"(control));
	__asm__ volatile("dsb sy; mcr p15, 0, %0, c1, c0, 0; isb" :: "r"(control | SCTLR_M) : "memory");
}
