/* SPDX-License-Identifier: MIT */
#include "console.h"
#include "jitter.h"
#include "machine.h"
#include "task.h"
#include "time.h"

#define PRIORITY	31
#define PRIORITY_REPORT	12
#define BAR		40
#define FIRST_NS	1024u
#define LAST_NS		(1u << 30)

/* One is being filled while the other is read. */
static struct stats intervals[2], total;
static uint32_t active;
static uint64_t missed, missed_total;
static uint32_t period_us, report_s;
static struct mutex total_lock;

static void measure(void *context)
{
	uint64_t period = time_from_us(period_us, machine.timer_hz);
	uint64_t next = port_now() + period;

	(void)context;
	for (;;) {
		uint64_t now;

		task_sleep_until(next);
		now = port_now();
		stats_add(&intervals[active], time_to_ns(now - next, machine.timer_hz));
		next += period;
		if (next <= now) {
			uint64_t late = (now - next) / period + 1;

			missed += late;
			next += late * period;
		}
	}
}

/* A time with one decimal, for %lu.%lu. */
#define US(ns)	(unsigned long)((ns) / 1000), (unsigned long)((ns) % 1000 / 100)

static void print_line(const char *what, const struct stats *s, uint64_t lost)
{
	if (!s->count) {
		console_printf("%s: no release, %lu missed\n", what, (unsigned long)lost);
		return;
	}
	console_printf("%s: %lu releases, late by min %lu.%lu avg %lu.%lu p99 %lu.%lu max %lu.%lu us, "
		       "%lu missed\n", what, (unsigned long)s->count, US(s->min), US(stats_mean(s)),
		       US(stats_percentile(s, 990)), US(s->max), (unsigned long)lost);
}

/* Add the interval to the total; returns it. */
static struct stats *collect(uint64_t *lost)
{
	unsigned long flags = port_lock();
	struct stats *full = &intervals[active];

	active ^= 1;
	*lost = missed;
	missed = 0;
	port_unlock(flags);
	stats_merge(&total, full);
	missed_total += *lost;
	return full;
}

static void report(void *context)
{
	uint64_t next = port_now();

	(void)context;
	for (;;) {
		struct stats *full;
		uint64_t lost;

		next += report_s * machine.timer_hz;
		task_sleep_until(next);
		mutex_lock(&total_lock);
		full = collect(&lost);
		print_line("jitter", full, lost);
		stats_clear(full);
		mutex_unlock(&total_lock);
	}
}

static void print_bar(uint64_t below_ns, uint64_t count)
{
	char bar[BAR + 1];
	uint64_t length = (count * BAR + total.count - 1) / total.count;

	for (uint64_t i = 0; i < length; i++)
		bar[i] = '#';
	bar[length] = '\0';
	console_printf("  < %7lu us %9lu %s\n", (unsigned long)(below_ns / 1000),
		       (unsigned long)count, bar);
}

void jitter_print(void)
{
	uint64_t before = 0, lost;

	mutex_lock(&total_lock);
	stats_clear(collect(&lost));
	print_line("since the start", &total, missed_total);
	for (uint64_t ns = FIRST_NS; total.count && ns <= LAST_NS; ns *= 2) {
		uint64_t below = stats_below(&total, ns);

		if (below != before)
			print_bar(ns, below - before);
		before = below;
	}
	mutex_unlock(&total_lock);
}

void jitter_start(uint32_t period, uint32_t seconds)
{
	period_us = period;
	report_s = seconds;
	mutex_init(&total_lock);
	stats_clear(&intervals[0]);
	stats_clear(&intervals[1]);
	stats_clear(&total);
	task_start("jitter", PRIORITY, measure, NULL);
	task_start("report", PRIORITY_REPORT, report, NULL);
}
