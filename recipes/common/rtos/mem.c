/* SPDX-License-Identifier: MIT */
/* With the meaning of C11 7.24. Byte by byte: nothing here moves more than a few hundred. */
#include <stdint.h>

#include "mem.h"

void *memcpy(void *restrict to, const void *restrict from, size_t length)
{
	uint8_t *out = to;
	const uint8_t *in = from;

	while (length--)
		*out++ = *in++;
	return to;
}

void *memmove(void *to, const void *from, size_t length)
{
	uint8_t *out = to;
	const uint8_t *in = from;

	if (out <= in || out >= in + length)
		return memcpy(to, from, length);
	while (length--)
		out[length] = in[length];
	return to;
}

void *memset(void *to, int value, size_t length)
{
	uint8_t *out = to;

	while (length--)
		*out++ = (uint8_t)value;
	return to;
}

int memcmp(const void *left, const void *right, size_t length)
{
	const uint8_t *a = left, *b = right;

	for (; length--; a++, b++) {
		if (*a != *b)
			return *a - *b;
	}
	return 0;
}

size_t strlen(const char *text)
{
	const char *end = text;

	while (*end)
		end++;
	return (size_t)(end - text);
}

int strcmp(const char *left, const char *right)
{
	while (*left && *left == *right) {
		left++;
		right++;
	}
	return (uint8_t)*left - (uint8_t)*right;
}
