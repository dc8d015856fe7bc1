/* SPDX-License-Identifier: MIT */
/*
 * Time since clock_init(), from the core's cycle counter PMCCNTR
 * (Cortex-R5 TRM, DDI 0460, 6.3), which counts every 64th cycle here.
 */
#ifndef R5_CLOCK_H
#define R5_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* Cycles a second as QEMU models them (target/arm: ARM_CPU_FREQ). */
#ifndef R5_CPU_HZ
#define R5_CPU_HZ	1000000000u
#endif

void clock_init(void);

/*
 * Milliseconds since clock_init(). The counter wraps after 2^38 cycles, so call
 * it at least every four minutes (at 1 GHz).
 */
uint32_t clock_ms(void);

struct clock_timer {
	uint32_t period_ms;

	/* the timer's own; all zero is due at once */
	uint32_t next_ms;
	unsigned int calls;
	bool running;
};

/* Due one period from now (give or take what clock_due() says). */
void clock_restart(struct clock_timer *timer);

/*
 * True once a period; meant for a polling loop. It looks at the counter only at
 * every 1024th call, because reading it is slow in an emulator.
 */
bool clock_due(struct clock_timer *timer);

#endif
