/* SPDX-License-Identifier: MIT */
/* GICv3 (Arm IHI 0069), as non-secure software finds it after EL3. */
#include "test.h"

#define GICD_ISENABLER(n)	(VB_GICD_BASE + 0x0100 + 4 * (n))
#define GICD_ICPENDR(n)		(VB_GICD_BASE + 0x0280 + 4 * (n))
#define GICD_ICFGR(n)		(VB_GICD_BASE + 0x0c00 + 4 * (n))
#define GICD_IROUTER(n)		(VB_GICD_BASE + 0x6000 + 8 * (n))
#define NONE			1020	/* INTIDs from here on are special */
#define FIRST_SPI		32

void gic_init(void)
{
	__asm__ volatile("msr S3_0_C4_C6_0, %0" :: "r"(0xfful));	/* ICC_PMR_EL1 */
	__asm__ volatile("msr S3_0_C12_C12_7, %0; isb" :: "r"(1ul));	/* ICC_IGRPEN1_EL1 */
}

void gic_enable(uint32_t spi, bool edge)
{
	uint32_t id = FIRST_SPI + spi;
	uint32_t shift = 2 * (id % 16) + 1;
	uint32_t configuration = read32(GICD_ICFGR(id / 16)) & ~(1u << shift);

	write32(GICD_ICFGR(id / 16), configuration | (uint32_t)edge << shift);
	write32(GICD_IROUTER(id), 0);
	write32(GICD_IROUTER(id) + 4, 0);
	write32(GICD_ICPENDR(id / 32), 1u << id % 32);
	write32(GICD_ISENABLER(id / 32), 1u << id % 32);
	barrier();
}

int32_t gic_take(uint32_t ms)
{
	uint64_t end = now_ms() + ms;
	uint64_t id;

	do {
		__asm__ volatile("yield; mrs %0, S3_0_C12_C12_0; dsb sy" : "=r"(id));	/* ICC_IAR1_EL1 */
	} while (id >= NONE && now_ms() <= end);
	if (id >= NONE)
		return -1;
	__asm__ volatile("msr S3_0_C12_C12_1, %0; isb" :: "r"(id));		/* ICC_EOIR1_EL1 */
	return (int32_t)id - FIRST_SPI;
}
