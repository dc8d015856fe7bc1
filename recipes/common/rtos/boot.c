/* SPDX-License-Identifier: MIT */
#include "app.h"
#include "console.h"
#include "cpu.h"
#include "event.h"
#include "gic.h"
#include "machine.h"
#include "mmu.h"
#include "task.h"
#include "trap.h"
#include "xen.h"

#define REDISTRIBUTOR_BYTES	0x20000

struct machine machine;

void boot(const void *tree) __attribute__((noreturn));

/* The tree can be read only when its memory is mapped, and says itself where memory ends. */
static const char *open_tree(const void *tree)
{
	uint32_t size;

	if (!mmu_map((uintptr_t)tree, FDT_HEADER_BYTES, MMU_MEMORY))
		return "it lies too high";
	size = fdt_size(tree);
	if (!size || !mmu_map((uintptr_t)tree, size, MMU_MEMORY) ||
	    !fdt_open(&machine.fdt, tree, size))
		return "it is not well formed";
	if ((uintptr_t)tree < (uintptr_t)&image_end && (uintptr_t)tree + size > (uintptr_t)&image_start)
		return "the kernel's data lie over it: too little memory";
	return machine_read(&machine);
}

void boot(const void *tree)
{
	const char *problem;

	mmu_init();
	machine.timer_hz = read_sysreg(cntfrq_el0);
	console_init();
	problem = open_tree(tree);
	if (problem)
		panic("device tree: %s", problem);
	if (!mmu_map(machine.memory.base, machine.memory.size, MMU_MEMORY) ||
	    !mmu_map(machine.gic_distributor.base, machine.gic_distributor.size, MMU_DEVICE) ||
	    !mmu_map(machine.gic_redistributor.base, REDISTRIBUTOR_BYTES, MMU_DEVICE))
		panic("device tree: an address is too high");
	gic_init(machine.gic_distributor.base, machine.gic_redistributor.base);
	event_init(machine.event_irq);
	tasks_begin(app_main);
}
