/* SPDX-License-Identifier: MIT */
/*
 * An accelerator of the virtual board (docs/virtual-board.md, "Registers common to the
 * accelerators") as a UIO device: map 0 has its registers, map 1 its DMA memory. Whatever fails
 * ends the program with a sentence.
 */
#ifndef APP_ACCELERATOR_H
#define APP_ACCELERATOR_H

#include <stddef.h>
#include <stdint.h>

struct accelerator {
	const char *name;
	int file;
	volatile uint32_t *registers;
	volatile uint32_t *memory;
	size_t bytes;		/* of the memory */
	uint32_t address;	/* of the memory, as the design's DMA sees it */
};

/* Opens the container's accelerator `name`, which must be of the design with this ID register. */
void accelerator_open(struct accelerator *a, const char *name, uint32_t id);

/* Copies whole words between a buffer and the DMA memory; bytes is rounded up to words. */
void accelerator_put(struct accelerator *a, size_t offset, const uint32_t *from, size_t bytes);
void accelerator_get(const struct accelerator *a, size_t offset, uint32_t *to, size_t bytes);

/* Sets the design's own register n. */
void accelerator_set(struct accelerator *a, unsigned int n, uint32_t value);
uint32_t accelerator_own(const struct accelerator *a, unsigned int n);

/* Runs the job that the registers describe; returns when its interrupt came, with the time
 * that it took in milliseconds. */
double accelerator_run(struct accelerator *a);

#endif
