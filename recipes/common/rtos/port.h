/* SPDX-License-Identifier: MIT */
/* What the scheduler needs of the machine. port.c has it for arm64, tests/host_port.h for a host. */
#ifndef RTOS_PORT_H
#define RTOS_PORT_H

#include <stdint.h>

#ifdef RTOS_HOST
#include "host_port.h"
#else
/* Offsets are known to vectors.S. */
struct port_context {
	uint64_t x[31];
	uint64_t sp;
	uint64_t pc;
	uint64_t pstate;
} __attribute__((aligned(16)));
#endif

/* Mask interrupts; returns what port_unlock() takes. Nests. */
unsigned long port_lock(void);
void port_unlock(unsigned long flags);

/* Give the processor to sched_next(), with interrupts masked. Returns when it is this task's turn. */
void port_switch(void);

/* As port_switch(), or, in an interrupt, nothing: every interrupt ends in sched_next(). */
void port_switch_soon(void);

uint64_t port_now(void);

/* Interrupt at a time of the counter, instead of at any set before. */
void port_alarm(uint64_t time);

#endif
