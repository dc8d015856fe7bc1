/* SPDX-License-Identifier: MIT */
/* Words `name=number` of a command line, and numbers in commands. */
#ifndef RTOS_OPTIONS_H
#define RTOS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct option {
	const char *name;
	uint32_t min, max;
	uint32_t *value;
};

/* A decimal number of digits only, between bounds; the whole of the first `length` bytes. */
bool option_number(const char *text, size_t length, uint32_t min, uint32_t max, uint32_t *value);

/* Set the options that `line` names; what it does not name stays. Words have blanks between. Returns
 * false with a sentence about the first bad word in `error`; no option is set then. */
bool options_parse(const char *line, const struct option *options, size_t count,
		   char *error, size_t size);

#endif
