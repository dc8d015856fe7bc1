/* SPDX-License-Identifier: MIT */
/*
 * Echo firmware: a heartbeat in the trace buffer, messages returned verbatim on
 * the service rpmsg-raw, lines of text returned on rpmsg-tty.
 */
#include "clock.h"
#include "console.h"
#include "mem.h"
#include "rpmsg.h"
#include "trace.h"

#define HEARTBEAT_MS	2000
#define RAW_ADDRESS	1024
#define TTY_ADDRESS	1025

static struct {
	unsigned int messages;
	unsigned int bytes;
} echoed;

static bool echo_message(struct rpmsg_endpoint *endpoint, uint32_t source,
			 const uint8_t *data, size_t length)
{
	if (rpmsg_send(endpoint, source, data, length) != RPMSG_SENT)
		return false;
	echoed.messages++;
	echoed.bytes += length;
	return true;
}

static bool echo_line(struct rpmsg_endpoint *endpoint, uint32_t source, const char *text)
{
	char line[CONSOLE_LINE_MAX + 1];
	size_t length = strlen(text);

	memcpy(line, text, length);
	line[length] = '\n';
	if (rpmsg_send(endpoint, source, line, length + 1) != RPMSG_SENT)
		return false;
	trace_printf("tty: %s\n", text);
	return true;
}

static struct console console = {
	.greeting = "echo firmware on a Cortex-R5: every line comes back\n",
	.line = echo_line,
};

static struct rpmsg_endpoint endpoints[] = {
	{ .service = "rpmsg-raw", .address = RAW_ADDRESS, .receive = echo_message },
	{ .service = "rpmsg-tty", .address = TTY_ADDRESS, .receive = console_receive,
	  .context = &console },
};

int main(void)
{
	struct clock_timer heartbeat = { .period_ms = HEARTBEAT_MS };
	unsigned int beats = 0;
	uint32_t midr;

	clock_init();
	__asm__("mrc p15, 0, %0, c0, c0, 0" : "=r"(midr));
	trace_printf("echo firmware on a Cortex-R5 (MIDR 0x%x)\n", (unsigned int)midr);
	rpmsg_init(endpoints, sizeof(endpoints) / sizeof(endpoints[0]));
	for (;;) {
		rpmsg_poll();
		if (clock_due(&heartbeat))
			trace_printf("heartbeat %u: up %u s, echoed %u messages, %u bytes\n",
				     ++beats, (unsigned int)(clock_ms() / 1000),
				     echoed.messages, echoed.bytes);
	}
}
