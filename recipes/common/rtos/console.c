/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdint.h>

#include "console.h"
#include "event.h"
#include "format.h"
#include "machine.h"
#include "mmu.h"
#include "ring.h"
#include "sched.h"
#include "time.h"
#include "xen.h"

#define PATIENCE_MS	500	/* how long a panic waits for a reader */
#define RETRY_MS	20	/* in case a notification is lost on the other side */

/* struct xencons_interface */
struct interface {
	char in[1024];
	char out[2048];
	uint32_t in_cons, in_prod;
	uint32_t out_cons, out_prod;
};

static struct ring in, out;
static uint64_t port;
static bool started, crlf;
static struct mutex writers;
static struct semaphore event_in, event_out;

static uint64_t ms(uint64_t count)
{
	return time_from_us(1000 * count, machine.timer_hz);
}

void console_init(void)
{
	struct interface *shared;
	uint64_t page;

	if (!xen_param(HVM_PARAM_CONSOLE_PFN, &page) ||
	    !xen_param(HVM_PARAM_CONSOLE_EVTCHN, &port) ||
	    !mmu_map(page * MMU_PAGE, MMU_PAGE, MMU_MEMORY))
		return;
	shared = (struct interface *)(page * MMU_PAGE);
	in = (struct ring){ shared->in, sizeof(shared->in), &shared->in_cons, &shared->in_prod };
	out = (struct ring){ shared->out, sizeof(shared->out), &shared->out_cons, &shared->out_prod };
}

void console_crlf(bool on)
{
	crlf = on;
}

static void notified(void *context)
{
	(void)context;
	semaphore_give(&event_in);
	semaphore_give(&event_out);
}

void console_start(void)
{
	mutex_init(&writers);
	semaphore_init(&event_in, 0, 1);
	semaphore_init(&event_out, 0, 1);
	if (out.size)
		event_attach((uint32_t)port, notified, NULL);
	started = true;
}

/* Put all of it; `wait` returns false to give up. */
static void put(const char *text, size_t length, bool (*wait)(void))
{
	if (!out.size) {
		xen_console(text, (uint32_t)length);
		return;
	}
	for (;;) {
		size_t done = ring_put(&out, text, length);

		text += done;
		length -= done;
		xen_notify((uint32_t)port);
		if (!length || !wait())
			return;
	}
}

static void put_lines(const char *text, size_t length, bool (*wait)(void))
{
	size_t from = 0;

	for (size_t i = 0; crlf && i < length; i++) {
		if (text[i] != '\n')
			continue;
		put(text + from, i - from, wait);
		put("\r", 1, wait);
		from = i;
	}
	put(text + from, length - from, wait);
}

/* Poll, for as long as someone reads. */
static bool spin(void)
{
	uint64_t end = port_now() + ms(PATIENCE_MS);
	uint32_t before = ring_used(&out);

	while (port_now() < end) {
		if (ring_used(&out) < before)
			return true;
	}
	return false;
}

static bool sleep(void)
{
	semaphore_take(&event_out, port_now() + ms(RETRY_MS));
	return true;
}

void console_printf(const char *fmt, ...)
{
	char text[CONSOLE_PIECE];
	va_list args;
	size_t length;

	va_start(args, fmt);
	length = vformat(text, sizeof(text), fmt, args);
	va_end(args);
	if (!started) {
		put_lines(text, length, spin);
		return;
	}
	mutex_lock(&writers);
	put_lines(text, length, sleep);
	mutex_unlock(&writers);
}

void console_panic(const char *fmt, ...)
{
	char text[CONSOLE_PIECE];
	va_list args;
	size_t length;

	va_start(args, fmt);
	length = vformat(text, sizeof(text), fmt, args);
	va_end(args);
	put_lines(text, length, spin);
}

void console_flush(void)
{
	while (out.size && ring_used(&out) && spin())
		;
}

static char read_char(void)
{
	char c;

	while (ring_take(&in, &c, 1) == 0)
		semaphore_take(&event_in, SCHED_FOREVER);
	/* Room for what the other side could not put. */
	if (ring_used(&in) == 0)
		xen_notify((uint32_t)port);
	return c;
}

bool console_read_line(char *line, size_t size)
{
	size_t used = 0;
	bool fits = true;

	while (!in.size)
		semaphore_take(&event_in, SCHED_FOREVER);
	for (;;) {
		char c = read_char();

		if (c == '\n' || c == '\r')
			break;
		if (c == '\b' || c == 0x7f)
			used -= used > 0;
		else if (used + 1 < size)
			line[used++] = c;
		else
			fits = false;
	}
	line[used] = '\0';
	return fits;
}
