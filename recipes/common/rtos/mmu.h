/* SPDX-License-Identifier: MIT */
/*
 * Stage 1 translation: every address is itself. What is not mapped faults, the page at 0 among it.
 * Blocks of 2 MiB; the kernel's own block page by page: code read-only, data not executable.
 */
#ifndef RTOS_MMU_H
#define RTOS_MMU_H

#include <stdbool.h>
#include <stdint.h>

#define MMU_PAGE	4096u
#define MMU_BLOCK	0x200000u

enum mmu_kind { MMU_MEMORY, MMU_DEVICE };

/* Map the kernel's block and turn MMU and caches on. */
void mmu_init(void);

/* Map the blocks that hold a range, but for the kernel's. False if it lies too high or the tables
 * are used up. */
bool mmu_map(uint64_t base, uint64_t size, enum mmu_kind kind);

/* Take a page of the kernel's data out of the map. */
void mmu_unmap_page(uintptr_t page);

#endif
