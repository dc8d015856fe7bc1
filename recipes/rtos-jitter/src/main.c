/* SPDX-License-Identifier: MIT */
#include "app.h"
#include "commands.h"
#include "console.h"
#include "jitter.h"
#include "machine.h"
#include "options.h"
#include "store.h"
#include "task.h"
#include "vadd.h"
#include "work.h"
#include "xen.h"

#define PRIORITY_COMMANDS	10
#define EXIT_USAGE		2

static uint32_t period = 1000, report = 1, tasks = 3, seconds, jobs, crlf;

static const struct option options[] = {
	{ "period", 100, 1000000, &period },	/* us */
	{ "report", 1, 3600, &report },		/* s */
	{ "tasks", 0, WORK_TASKS_MAX, &tasks },
	{ "seconds", 0, 86400, &seconds },	/* then power off; 0: never */
	{ "vadd", 0, 100000, &jobs },		/* jobs at the start */
	{ "crlf", 0, 1, &crlf },
};

static void shutdown_asked(void)
{
	console_printf("shutdown asked for\n");
	store_shutdown(XEN_SHUTDOWN_POWEROFF, 0);
}

static void greet(void)
{
	console_printf("hetoci rtos-jitter on %s: %lu KiB at 0x%lx, counter %lu Hz\n", machine.xen,
		       (unsigned long)(machine.memory.size / 1024),
		       (unsigned long)machine.memory.base, (unsigned long)machine.timer_hz);
	console_printf("period %u us, %u tasks of load; help lists the commands\n", period, tasks);
}

void app_main(void *context)
{
	char error[160];
	bool right = options_parse(machine.bootargs, options, sizeof(options) / sizeof(options[0]),
				   error, sizeof(error));

	(void)context;
	console_crlf(crlf);
	console_start();
	store_start(shutdown_asked);
	if (!right) {
		console_printf("%s\n", error);
		store_shutdown(XEN_SHUTDOWN_CRASH, EXIT_USAGE);
	}
	greet();
	task_start("commands", PRIORITY_COMMANDS, commands_task, NULL);
	work_start(tasks);
	jitter_start(period, report);
	vadd_init();
	if (jobs)
		vadd_run(jobs);
	if (!seconds)
		task_exit();
	task_sleep_until(port_now() + seconds * machine.timer_hz);
	jitter_print();
	store_shutdown(XEN_SHUTDOWN_POWEROFF, 0);
}
