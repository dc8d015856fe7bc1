/* SPDX-License-Identifier: MIT */
/*
 * Firmware that runs until it is told how to end: a command on the services
 * rpmsg-raw or rpmsg-tty makes it fault, return or hang. README.md lists them.
 */
#include "clock.h"
#include "console.h"
#include "format.h"
#include "mem.h"
#include "outcome.h"
#include "rpmsg.h"
#include "trace.h"

#define HEARTBEAT_MS	2000
#define RAW_ADDRESS	1024
#define TTY_ADDRESS	1025
#define EXIT_MAX	255

/*
 * Nothing answers at this bus address, and the default memory map, in force with
 * the MPU off, makes it execute-never (Cortex-R5 TRM, DDI 0460, table 8-1).
 */
#define NOWHERE		0xe0000000u

static struct {
	bool exit;
	int status;
} asked;

static void data_abort(void)
{
	(void)*(volatile uint32_t *)NOWHERE;
}

static void prefetch_abort(void)
{
	((void (*)(void))NOWHERE)();
}

static void undefined(void)
{
	__asm__ volatile("udf #0");
}

static void supervisor_call(void)
{
	__asm__ volatile("svc #0" ::: "lr");
}

static const struct command {
	const char *name;
	void (*run)(void);
} commands[] = {
	{ "data-abort", data_abort },
	{ "prefetch-abort", prefetch_abort },
	{ "undefined", undefined },
	{ "svc", supervisor_call },
	{ "hang", r5_halt },
};

static bool equal(const char *left, const char *right)
{
	size_t length = strlen(left);

	return length == strlen(right) && memcmp(left, right, length) == 0;
}

/* The N of "exit N", or -1 if the text is anything else. */
static int parse_exit(const char *text)
{
	static const char prefix[] = "exit ";
	const char *digits = text + sizeof(prefix) - 1;
	int status = 0;

	if (strlen(text) < sizeof(prefix) || memcmp(text, prefix, sizeof(prefix) - 1) != 0)
		return -1;
	for (; *digits; digits++) {
		if (*digits < '0' || *digits > '9')
			return -1;
		status = status * 10 + (*digits - '0');
		if (status > EXIT_MAX)
			return -1;
	}
	return status;
}

static const struct command *find(const char *text)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (equal(text, commands[i].name))
			return &commands[i];
	}
	return NULL;
}

/* Answers one line, then does what it says. False: no buffer for the answer. */
static bool obey(struct rpmsg_endpoint *endpoint, uint32_t source, const char *text)
{
	char answer[RPMSG_PAYLOAD_MAX];
	const struct command *command = find(text);
	int status = parse_exit(text);
	size_t length;

	if (command || status >= 0)
		length = format(answer, sizeof(answer), "doing: %s\n", text);
	else
		length = format(answer, sizeof(answer),
				"unknown command \"%s\"; there are: data-abort, prefetch-abort, "
				"undefined, svc, hang, exit N (0 to %d)\n", text, EXIT_MAX);
	if (rpmsg_send(endpoint, source, answer, length) != RPMSG_SENT)
		return false;
	trace_printf("%s: %s", endpoint->service, answer);
	if (status >= 0) {
		asked.exit = true;
		asked.status = status;
	}
	if (command) {
		/* The answer leaves before there is nobody to send it. */
		rpmsg_flush();
		command->run();
	}
	return true;
}

static bool obey_message(struct rpmsg_endpoint *endpoint, uint32_t source,
			 const uint8_t *data, size_t length)
{
	char text[CONSOLE_LINE_MAX + 1];

	if (length > CONSOLE_LINE_MAX)
		length = CONSOLE_LINE_MAX;
	while (length > 0 && (data[length - 1] == '\n' || data[length - 1] == '\0'))
		length--;
	memcpy(text, data, length);
	text[length] = '\0';
	return obey(endpoint, source, text);
}

static struct console console = {
	.greeting = "crash firmware on a Cortex-R5: tell it how to end\n",
	.line = obey,
};

static struct rpmsg_endpoint endpoints[] = {
	{ .service = "rpmsg-raw", .address = RAW_ADDRESS, .receive = obey_message },
	{ .service = "rpmsg-tty", .address = TTY_ADDRESS, .receive = console_receive,
	  .context = &console },
};

int main(void)
{
	struct clock_timer heartbeat = { .period_ms = HEARTBEAT_MS };
	unsigned int beats = 0;

	clock_init();
	trace_printf("crash firmware on a Cortex-R5, waiting for a command\n");
	rpmsg_init(endpoints, sizeof(endpoints) / sizeof(endpoints[0]));
	while (!asked.exit) {
		rpmsg_poll();
		if (clock_due(&heartbeat))
			trace_printf("heartbeat %u: up %u s\n", ++beats,
				     (unsigned int)(clock_ms() / 1000));
	}
	return asked.status;
}
