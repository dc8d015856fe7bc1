/* SPDX-License-Identifier: MIT */
/*
 * The firmware's log: text in a buffer that Linux shows as
 * debugfs remoteproc/remoteprocN/trace0, up to the first NUL.
 * README.md ("Trace buffer") states what a reader may rely on.
 */
#ifndef R5_TRACE_H
#define R5_TRACE_H

#include <stddef.h>

#define TRACE_SIZE	32768	/* bytes; the last one is always NUL */
#define TRACE_LINE_MAX	256	/* bytes a call of trace_printf() can add */

extern char trace_buffer[TRACE_SIZE];

/*
 * Appends one piece of text; it becomes visible to Linux all at once. Control
 * characters other than newline and tab become '?'.
 */
void trace_write(const char *text, size_t length);

/* Formats (see format.h) and appends; what exceeds TRACE_LINE_MAX is cut. */
void trace_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
