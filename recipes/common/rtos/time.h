/* SPDX-License-Identifier: MIT */
#ifndef RTOS_TIME_H
#define RTOS_TIME_H

#include <stdint.h>

/* Counter ticks to nanoseconds and back, for a counter below 4 GHz and 500 years. */
static inline uint64_t time_to_ns(uint64_t ticks, uint64_t hz)
{
	return ticks / hz * 1000000000u + ticks % hz * 1000000000u / hz;
}

static inline uint64_t time_from_us(uint64_t us, uint64_t hz)
{
	return us / 1000000u * hz + us % 1000000u * hz / 1000000u;
}

#endif
