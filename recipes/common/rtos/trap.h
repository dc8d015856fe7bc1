/* SPDX-License-Identifier: MIT */
#ifndef RTOS_TRAP_H
#define RTOS_TRAP_H

#include "port.h"

#define TRAP_FROM_TASK	0	/* other kinds: the number of the vector */

/* Report an exception that is a bug, and crash the domain. */
void trap_fatal(const struct port_context *context, unsigned long kind) __attribute__((noreturn));

/* Say why and crash the domain. */
void panic(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
