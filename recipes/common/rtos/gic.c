/* SPDX-License-Identifier: MIT */
#include "cpu.h"
#include "gic.h"
#include "trap.h"

#define GICD_CTLR		0x0000
#define GICD_CTLR_ARE_GROUP1	0x12	/* affinity routing, group 1 */
#define GICD_IROUTER		0x6000

#define GICR_WAKER		0x0014
#define WAKER_PROCESSOR_SLEEP	0x2
#define WAKER_CHILDREN_ASLEEP	0x4
#define GICR_SGI_BASE		0x10000

/* The same in the distributor, and in the redistributor behind GICR_SGI_BASE. */
#define GIC_IGROUPR		0x0080
#define GIC_ISENABLER		0x0100
#define GIC_IPRIORITYR		0x0400
#define GIC_ICFGR		0x0c00

#define PRIORITY		0xa0
#define SPURIOUS		1020	/* and above */
#define HANDLERS		8

static struct handler {
	void (*function)(void *);
	void *context;
	uint32_t irq;
} handlers[HANDLERS];
static unsigned int used;
static uintptr_t distributor, private;

void gic_init(uintptr_t gicd, uintptr_t gicr)
{
	distributor = gicd;
	private = gicr + GICR_SGI_BASE;
	mmio_write32(gicr + GICR_WAKER,
		     mmio_read32(gicr + GICR_WAKER) & ~(uint32_t)WAKER_PROCESSOR_SLEEP);
	while (mmio_read32(gicr + GICR_WAKER) & WAKER_CHILDREN_ASLEEP)
		;
	mmio_write32(gicd + GICD_CTLR, GICD_CTLR_ARE_GROUP1);
	write_sysreg(icc_sre_el1, 1);
	isb();
	write_sysreg(icc_pmr_el1, 0xff);
	write_sysreg(icc_bpr1_el1, 0);
	write_sysreg(icc_ctlr_el1, 0);
	write_sysreg(icc_igrpen1_el1, 1);
	isb();
}

static void configure(uintptr_t bank, uint32_t irq, enum irq_kind kind)
{
	uintptr_t group = bank + GIC_IGROUPR + irq / 32 * 4;
	uintptr_t type = bank + GIC_ICFGR + irq / 16 * 4;
	uintptr_t priority = bank + GIC_IPRIORITYR + irq / 4 * 4;
	uint32_t shift = irq % 4 * 8;
	uint32_t edge = 2u << irq % 16 * 2;

	mmio_write32(group, mmio_read32(group) | 1u << irq % 32);
	mmio_write32(priority, (mmio_read32(priority) & ~(0xffu << shift)) | PRIORITY << shift);
	mmio_write32(type, kind == IRQ_EDGE ? mmio_read32(type) | edge : mmio_read32(type) & ~edge);
	mmio_write32(bank + GIC_ISENABLER + irq / 32 * 4, 1u << irq % 32);
}

void irq_attach(uint32_t irq, enum irq_kind kind, void (*handler)(void *), void *context)
{
	unsigned long flags = port_lock();

	if (used == HANDLERS)
		panic("no room for a handler of interrupt %u", irq);
	handlers[used].function = handler;
	handlers[used].context = context;
	handlers[used].irq = irq;
	used++;
	configure(irq < 32 ? private : distributor, irq, kind);
	port_unlock(flags);
}

static void handle(uint32_t irq)
{
	for (unsigned int i = 0; i < used; i++) {
		if (handlers[i].irq == irq)
			handlers[i].function(handlers[i].context);
	}
}

void gic_dispatch(void)
{
	for (;;) {
		uint32_t irq = (uint32_t)read_sysreg(icc_iar1_el1);

		dsb();
		if (irq >= SPURIOUS)
			return;
		handle(irq);
		write_sysreg(icc_eoir1_el1, irq);
		isb();
	}
}
