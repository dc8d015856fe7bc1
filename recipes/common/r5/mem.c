/* SPDX-License-Identifier: MIT */
/* The four functions a freestanding GCC may call, with the meaning of C11 7.24. */
#include <stddef.h>
#include <stdint.h>

#include "mem.h"

void *memcpy(void *restrict to, const void *restrict from, size_t length)
{
	uint8_t *out = to;
	const uint8_t *in = from;

	if ((((uintptr_t)out | (uintptr_t)in) & 3) == 0) {
		for (; length >= 4; length -= 4, out += 4, in += 4)
			*(uint32_t *)out = *(const uint32_t *)in;
	}
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
