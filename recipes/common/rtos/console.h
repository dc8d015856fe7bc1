/* SPDX-License-Identifier: MIT */
/* The domain's console (Xen, public/io/console.h): what xenconsoled hands on. */
#ifndef RTOS_CONSOLE_H
#define RTOS_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>

#define CONSOLE_PIECE	192	/* longest text of one console_printf() */
#define CONSOLE_LINE	80

/* Find the console. Until console_start() writing waits for room by polling. */
void console_init(void);

/* End each line with CR and LF, for a terminal. */
void console_crlf(bool on);

/* From now on writers sleep while there is no room, and lines can be read. For a task. */
void console_start(void);

/* Write a text; one text is never mixed with another. For tasks, or before the first one. */
void console_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Write with interrupts masked, whatever the state; gives up when nobody reads. */
void console_panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Wait, at most half a second, until dom0 has read all. */
void console_flush(void);

/* Wait for a line, without its end; returns false if it was longer and has been dropped. One reader. */
bool console_read_line(char *line, size_t size);

#endif
