/* SPDX-License-Identifier: MIT */
#include "cpu.h"
#include "machine.h"
#include "mmu.h"

#define ENTRIES		512u
#define GIB_SHIFT	30
#define BLOCK_SHIFT	21
#define PAGE_SHIFT	12
#define LIMIT		(1ull << 39)
#define TABLES		8	/* of the second level, one a GiB */

#define VALID		1ull
#define TABLE		2ull	/* also: a page */
#define MEMORY		(0ull << 2 | 3ull << 8 | 1ull << 10)	/* attribute 0, inner shareable, used */
#define DEVICE		(1ull << 2 | 1ull << 10)
#define READ_ONLY	(1ull << 7)
#define NO_EXECUTE	(1ull << 53 | 1ull << 54)
#define ADDRESS		0x0000fffffffff000ull

#define MAIR		0x04ffull	/* 0: write-back memory, 1: device nGnRE */
#define TCR_T0SZ	25ull		/* 39 bits */
#define TCR		(TCR_T0SZ | 1ull << 8 | 1ull << 10 | 3ull << 12 | 1ull << 23)
#define SCTLR		(0x30d00800ull | 1 << 0 | 1 << 2 | 1 << 3 | 1 << 12)	/* M, C, SA, I */

static uint64_t level1[ENTRIES] __attribute__((aligned(4096)));
static uint64_t level2[TABLES][ENTRIES] __attribute__((aligned(4096)));
static uint64_t level3[ENTRIES] __attribute__((aligned(4096)));
static unsigned int used;

static uintptr_t kernel_block(void)
{
	return (uintptr_t)&image_start & ~(uintptr_t)(MMU_BLOCK - 1);
}

static void flush(void)
{
	__asm__ volatile("dsb ishst; tlbi vmalle1; dsb ish; isb" : : : "memory");
}

/* The entry for the block at `address`; NULL if there is no table left. */
static uint64_t *entry(uint64_t address)
{
	uint64_t *top = &level1[address >> GIB_SHIFT];

	if (!(*top & VALID)) {
		if (used == TABLES)
			return NULL;
		*top = (uintptr_t)level2[used++] | VALID | TABLE;
	}
	return (uint64_t *)(uintptr_t)(*top & ADDRESS) + (address >> BLOCK_SHIFT) % ENTRIES;
}

bool mmu_map(uint64_t base, uint64_t size, enum mmu_kind kind)
{
	uint64_t block = base & ~(uint64_t)(MMU_BLOCK - 1);

	if (!size || base >= LIMIT || size > LIMIT - base)
		return false;
	for (; block < base + size; block += MMU_BLOCK) {
		uint64_t *at = entry(block);

		if (!at)
			return false;
		if (block != kernel_block())
			*at = block | VALID | NO_EXECUTE | (kind == MMU_MEMORY ? MEMORY : DEVICE);
	}
	flush();
	return true;
}

static void map_kernel(void)
{
	uintptr_t block = kernel_block();

	for (unsigned int i = 0; i < ENTRIES; i++) {
		uintptr_t page = block + i * MMU_PAGE;
		uint64_t rights = NO_EXECUTE;

		if (page >= (uintptr_t)&image_start && page < (uintptr_t)&text_end)
			rights = READ_ONLY;
		else if (page >= (uintptr_t)&text_end && page < (uintptr_t)&rodata_end)
			rights = READ_ONLY | NO_EXECUTE;
		level3[i] = page | VALID | TABLE | MEMORY | rights;
	}
	*entry(block) = (uintptr_t)level3 | VALID | TABLE;
}

void mmu_unmap_page(uintptr_t page)
{
	level3[(page - kernel_block()) >> PAGE_SHIFT] = 0;
	flush();
}

void mmu_init(void)
{
	uint64_t range = read_sysreg(id_aa64mmfr0_el1) & 0xf;

	map_kernel();
	write_sysreg(mair_el1, MAIR);
	/* Physical addresses as wide as the processor has, up to 40 bits. */
	write_sysreg(tcr_el1, TCR | (range < 2 ? range : 2) << 32);
	write_sysreg(ttbr0_el1, (uintptr_t)level1);
	flush();
	write_sysreg(sctlr_el1, SCTLR);
	isb();
}
