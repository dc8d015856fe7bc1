/* SPDX-License-Identifier: MIT */
#include "console.h"
#include "machine.h"
#include "task.h"
#include "time.h"
#include "work.h"

#define PRIORITY	1	/* of the first; the others above it */
#define BURST_US	200
#define PAUSE_US	5000	/* of the first; the n-th pauses n times as long */

static const char *const names[WORK_TASKS_MAX] = { "work1", "work2", "work3", "work4", "work5", "work6" };
static uint32_t started;
static struct mutex lock;
static uint64_t rounds[WORK_TASKS_MAX], shared;

static void burst(void)
{
	uint64_t end = port_now() + time_from_us(BURST_US, machine.timer_hz);

	while (port_now() < end)
		;
}

static void work(void *context)
{
	uint64_t *mine = context;
	uint64_t pause = time_from_us(PAUSE_US * (uint64_t)(mine - rounds + 1), machine.timer_hz);

	for (;;) {
		mutex_lock(&lock);
		(*mine)++;
		burst();
		shared++;
		mutex_unlock(&lock);
		task_sleep_until(port_now() + pause);
	}
}

void work_start(uint32_t count)
{
	mutex_init(&lock);
	for (started = 0; started < count; started++)
		task_start(names[started], PRIORITY + started, work, &rounds[started]);
}

void work_print(void)
{
	uint64_t sum = 0;

	mutex_lock(&lock);
	for (uint32_t i = 0; i < started; i++)
		sum += rounds[i];
	console_printf("work: %u tasks, %lu rounds%s\n", started, (unsigned long)sum,
		       sum == shared ? "" : ", and they do not add up");
	mutex_unlock(&lock);
}
