/* SPDX-License-Identifier: MIT */
/* GICv3 for one processor, through the system registers (Arm IHI 0069), as Xen emulates it. */
#ifndef RTOS_GIC_H
#define RTOS_GIC_H

#include <stdbool.h>
#include <stdint.h>

enum irq_kind { IRQ_LEVEL, IRQ_EDGE };

void gic_init(uintptr_t distributor, uintptr_t redistributor);

/* Enable an interrupt and call `handler` for it, with interrupts masked. Never again detached. */
void irq_attach(uint32_t irq, enum irq_kind kind, void (*handler)(void *), void *context);

/* Handle what is pending. */
void gic_dispatch(void);

#endif
