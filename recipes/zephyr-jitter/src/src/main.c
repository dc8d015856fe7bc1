/* SPDX-License-Identifier: MIT */
/*
 * How late a periodic thread is released, once a second: the figures of recipes/rtos-jitter, by
 * Zephyr's timers, in steps of its tick.
 */
#include <inttypes.h>

#include <zephyr/kernel.h>
#include <zephyr/sys/printk.h>

#define PERIOD_US	1000
#define RELEASES	(1000000 / PERIOD_US)
#define STACK_BYTES	2048
#define PRIORITY	-1	/* co-operative: above every pre-emptible thread */

struct interval {
	uint64_t sum, min, max;
	uint32_t releases, missed;
};

static void add(struct interval *interval, uint64_t us)
{
	interval->releases++;
	interval->sum += us;
	if (interval->releases == 1 || us < interval->min)
		interval->min = us;
	if (us > interval->max)
		interval->max = us;
}

static void print(const struct interval *i)
{
	printk("jitter: %u releases, late by min %" PRIu64 " avg %" PRIu64 " max %" PRIu64
	       " us, %u missed\n", i->releases, i->min, i->sum / i->releases, i->max, i->missed);
}

static void measure(void *a, void *b, void *c)
{
	const int64_t period = (int64_t)k_us_to_ticks_ceil64(PERIOD_US);
	int64_t next = k_uptime_ticks() + period;
	struct interval interval = { 0 };

	ARG_UNUSED(a);
	ARG_UNUSED(b);
	ARG_UNUSED(c);
	for (;;) {
		int64_t now;

		k_sleep(K_TIMEOUT_ABS_TICKS(next));
		now = k_uptime_ticks();
		add(&interval, k_ticks_to_us_floor64((uint64_t)(now - next)));
		next += period;
		while (next <= now) {
			interval.missed++;
			next += period;
		}
		if (interval.releases + interval.missed >= RELEASES) {
			print(&interval);
			interval = (struct interval){ 0 };
		}
	}
}

K_THREAD_DEFINE(jitter, STACK_BYTES, measure, NULL, NULL, NULL, PRIORITY, 0, 0);

int main(void)
{
	printk("hetoci zephyr-jitter: period %d us\n", PERIOD_US);
	return 0;
}
