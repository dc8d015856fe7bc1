/* SPDX-License-Identifier: MIT */
#include "clock.h"

#define PMCR_E		(1u << 0)	/* all counters on */
#define PMCR_C		(1u << 2)	/* cycle counter to zero */
#define PMCR_D		(1u << 3)	/* count every 64th cycle */
#define PMCNTEN_CYCLES	(1u << 31)

#define TICKS_PER_MS	(R5_CPU_HZ / 64 / 1000)
#define CALLS_A_LOOK	1024

static struct {
	uint32_t ms;
	uint32_t counted;	/* counter value that `ms` stands for */
} clock;

static uint32_t read_counter(void)
{
	uint32_t value;

	__asm__ volatile("mrc p15, 0, %0, c9, c13, 0" : "=r"(value));
	return value;
}

void clock_init(void)
{
	__asm__ volatile("mcr p15, 0, %0, c9, c12, 0" :: "r"(PMCR_E | PMCR_C | PMCR_D));
	__asm__ volatile("mcr p15, 0, %0, c9, c12, 1" :: "r"(PMCNTEN_CYCLES));
	clock.ms = 0;
	clock.counted = read_counter();
}

uint32_t clock_ms(void)
{
	uint32_t elapsed = (read_counter() - clock.counted) / TICKS_PER_MS;

	clock.ms += elapsed;
	clock.counted += elapsed * TICKS_PER_MS;
	return clock.ms;
}

void clock_restart(struct clock_timer *timer)
{
	timer->next_ms = clock_ms() + timer->period_ms;
	timer->calls = 0;
	timer->running = true;
}

bool clock_due(struct clock_timer *timer)
{
	if (timer->running) {
		if (++timer->calls % CALLS_A_LOOK != 0 ||
		    (int32_t)(clock_ms() - timer->next_ms) < 0)
			return false;
	}
	clock_restart(timer);
	return true;
}
