/* SPDX-License-Identifier: MIT */
/*
 * The memory functions GCC may call in freestanding code (GCC manual, "Standards").
 * Words are copied as words: with the MMU off, memory is Device memory and
 * every access costs the same.
 */
#include <stddef.h>
#include <stdint.h>

#include "mem.h"

typedef uint32_t __attribute__((may_alias)) word_t;

static int aligned(const void *a, const void *b)
{
	return (((uintptr_t)a | (uintptr_t)b) & 3) == 0;
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
	uint8_t *d = to;
	const uint8_t *s = from;

	if (aligned(d, s)) {
		for (; bytes >= 4; bytes -= 4, d += 4, s += 4)
			*(word_t *)d = *(const word_t *)s;
	}
	while (bytes--)
		*d++ = *s++;
	return to;
}

void *memset(void *to, int value, size_t bytes)
{
	uint8_t *d = to;

	if (aligned(d, d)) {
		for (; bytes >= 4; bytes -= 4, d += 4)
			*(word_t *)d = (uint8_t)value * 0x01010101u;
	}
	while (bytes--)
		*d++ = (uint8_t)value;
	return to;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
	const uint8_t *p = a;
	const uint8_t *q = b;

	for (; bytes; bytes--, p++, q++) {
		if (*p != *q)
			return *p < *q ? -1 : 1;
	}
	return 0;
}
