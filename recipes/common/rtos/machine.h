/* SPDX-License-Identifier: MIT */
/* What the device tree says of the domain. */
#ifndef RTOS_MACHINE_H
#define RTOS_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "fdt.h"

struct range {
	uint64_t base, size;
};

struct machine {
	struct fdt fdt;
	struct range memory;		/* the first bank */
	struct range gic_distributor, gic_redistributor;
	uint32_t timer_irq;		/* of the virtual timer */
	uint32_t event_irq;		/* Xen's event channels */
	uint64_t timer_hz;
	const char *bootargs;		/* never NULL */
	const char *xen;		/* Xen's compatible string */
};

/* A device handed over by the operator: a node of /passthrough. */
struct device {
	struct range reg[2];		/* mapped; size 0: not there */
	uint32_t irq;			/* 0: none */
	bool edge;
};

extern struct machine machine;

/* Bounds of the image (link.ld). */
extern const char image_start[] __asm__("_start");
extern const char text_end[] __asm__("__text_end");
extern const char rodata_end[] __asm__("__rodata_end");
extern const char image_end[] __asm__("__image_end");

/* Fill `machine` from an open tree. Returns what is wrong with the tree, or NULL. */
const char *machine_read(struct machine *m);

/* Find the first device of /passthrough with a compatible string. Returns false if there is none;
 * a malformed one has size 0 or irq 0. */
bool machine_device(const struct machine *m, const char *compatible, struct device *device);

#endif
