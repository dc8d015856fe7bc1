/* SPDX-License-Identifier: MIT */
/*
 * Doorbells between this core and Linux: the virtual board's counterpart of the
 * ZynqMP's inter-processor interrupts (docs/virtual-board.md).
 */
#ifndef R5_IPI_H
#define R5_IPI_H

#include <stdbool.h>

void ipi_init(void);

/*
 * True if Linux rang since the last call; the ring is acknowledged before this
 * returns, so whatever it announces must be looked at afterwards.
 */
bool ipi_taken(void);

/* Rings Linux. Everything written before is visible to it first. */
void ipi_ring(void);

#endif
