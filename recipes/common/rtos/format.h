/* SPDX-License-Identifier: MIT */
#ifndef RTOS_FORMAT_H
#define RTOS_FORMAT_H

#include <stdarg.h>
#include <stddef.h>

/*
 * snprintf() reduced to %s %c %d %u %x %%, with `-` and `0`, a width of up to two digits, and the
 * modifiers `l` and `z`. Writes at most size bytes including the terminating NUL (size > 0) and
 * cuts what does not fit. Returns the number of bytes written without the NUL.
 */
size_t format(char *out, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
size_t vformat(char *out, size_t size, const char *fmt, va_list args)
	__attribute__((format(printf, 3, 0)));

#endif
