/* SPDX-License-Identifier: MIT */
#include "commands.h"
#include "console.h"
#include "jitter.h"
#include "machine.h"
#include "mem.h"
#include "options.h"
#include "store.h"
#include "task.h"
#include "time.h"
#include "vadd.h"
#include "work.h"
#include "xen.h"

#define JOBS_DEFAULT	10

struct command {
	const char *name;
	const char *help;
	bool has_number;
	uint32_t max, otherwise;	/* of its number */
	void (*run)(uint32_t number);
};

static void help(uint32_t number);

static void print_task(const struct task *task)
{
	static const char *const states[] = { "ready", "sleeping", "waiting", "ended" };
	uint64_t ns = time_to_ns(task->runtime, machine.timer_hz);

	console_printf("  %-10s priority %2u  %-8s  %8lu ms  %9lu switches\n", task->name,
		       task->priority, states[task->state], (unsigned long)(ns / 1000000),
		       (unsigned long)task->switches);
}

static void stat(uint32_t number)
{
	(void)number;
	jitter_print();
	work_print();
	sched_each(print_task);
}

static void vadd(uint32_t jobs)
{
	vadd_run(jobs);
}

static void leave(uint32_t status)
{
	console_printf("exit %u\n", status);
	store_shutdown(XEN_SHUTDOWN_POWEROFF, status);
}

static void reboot(uint32_t number)
{
	(void)number;
	console_printf("reboot\n");
	store_shutdown(XEN_SHUTDOWN_REBOOT, 0);
}

static void crash(uint32_t number)
{
	(void)number;
	/* Nothing is mapped at 0. Behind the compiler's back, which may assume that this cannot be. */
	__asm__ volatile("str wzr, [%0]" : : "r"(0ul) : "memory");
}

static const struct command commands[] = {
	{ "help", "lists these", false, 0, 0, help },
	{ "stat", "jitter since the start, and the tasks", false, 0, 0, stat },
	{ "vadd", "[N] run N jobs on the accelerator", true, 100000, JOBS_DEFAULT, vadd },
	{ "exit", "[N] power off; N is left in xenstore", true, 255, 0, leave },
	{ "reboot", "ask for a reboot", false, 0, 0, reboot },
	{ "crash", "cause a fault", false, 0, 0, crash },
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void help(uint32_t number)
{
	(void)number;
	for (size_t i = 0; i < COMMANDS; i++)
		console_printf("  %-6s  %s\n", commands[i].name, commands[i].help);
}

static void run(const struct command *command, const char *rest)
{
	uint32_t number = command->otherwise;

	while (*rest == ' ')
		rest++;
	if (*rest && !command->has_number)
		console_printf("%s takes no number\n", command->name);
	else if (*rest && !option_number(rest, strlen(rest), 0, command->max, &number))
		console_printf("%s takes a number from 0 to %u\n", command->name, command->max);
	else
		command->run(number);
}

static void obey(const char *line)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		size_t length = strlen(commands[i].name);

		/* strcmp() so far as the name goes, then its end. */
		if (strlen(line) < length || memcmp(line, commands[i].name, length) != 0)
			continue;
		if (line[length] == '\0' || line[length] == ' ') {
			run(&commands[i], line + length);
			return;
		}
	}
	console_printf("there is no such command; help lists them\n");
}

void commands_task(void *context)
{
	char line[CONSOLE_LINE];

	(void)context;
	for (;;) {
		if (!console_read_line(line, sizeof(line)))
			console_printf("a command has at most %d characters\n", CONSOLE_LINE - 1);
		else if (line[0])
			obey(line);
	}
}
