/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "barrier.h"
#include "format.h"
#include "mem.h"
#include "trace.h"

/* Aligned to what both sides can read in one access; zeroed by start.S. */
char trace_buffer[TRACE_SIZE] __attribute__((aligned(8)));

static struct {
	size_t used;		/* bytes in the buffer */
	uint32_t total;		/* bytes of text so far, marker lines not counted */
	unsigned int part;	/* how often the buffer was begun again */
} trace;

/* Keeps a NUL from ending the log, and control characters away from terminals. */
static char shown(char c)
{
	bool control = (unsigned char)c < ' ' || c == 0x7f;

	return control && c != '\n' && c != '\t' ? '?' : c;
}

/*
 * A reader stops at the first NUL, so the first byte goes last: it sees all of
 * the text or none of it.
 */
static void append(const char *text, size_t length)
{
	volatile char *at = &trace_buffer[trace.used];

	if (length == 0)
		return;
	for (size_t i = 1; i < length; i++)
		at[i] = shown(text[i]);
	dmb();
	at[0] = shown(text[0]);
	dmb();
	trace.used += length;
}

/* Empties the buffer and says in its first line how much text came before. */
static void restart(void)
{
	char marker[80];
	volatile char *buffer = trace_buffer;

	buffer[0] = '\0';
	dmb();
	for (size_t i = 1; i < TRACE_SIZE; i++)
		buffer[i] = '\0';
	dmb();
	trace.used = 0;
	trace.part++;
	append(marker, format(marker, sizeof(marker),
			      "--- trace part %u, after %u bytes ---\n",
			      trace.part + 1, (unsigned int)trace.total));
}

void trace_write(const char *text, size_t length)
{
	if (length > TRACE_LINE_MAX)
		length = TRACE_LINE_MAX;
	if (trace.used + length >= TRACE_SIZE)
		restart();
	append(text, length);
	trace.total += length;
}

void trace_printf(const char *fmt, ...)
{
	char line[TRACE_LINE_MAX];
	va_list args;

	va_start(args, fmt);
	trace_write(line, vformat(line, sizeof(line), fmt, args));
	va_end(args);
}
