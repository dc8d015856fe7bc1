/* SPDX-License-Identifier: MIT */
#include "format.h"

struct sink {
	char *out;
	size_t size;
	size_t used;
};

static void put(struct sink *sink, char c)
{
	if (sink->used + 1 < sink->size)
		sink->out[sink->used++] = c;
}

static void put_text(struct sink *sink, const char *text)
{
	while (*text)
		put(sink, *text++);
}

static void put_number(struct sink *sink, unsigned int value, unsigned int base)
{
	char digits[10];
	size_t count = 0;

	do {
		digits[count++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	while (count)
		put(sink, digits[--count]);
}

static void put_signed(struct sink *sink, int value)
{
	if (value < 0)
		put(sink, '-');
	put_number(sink, value < 0 ? 0u - (unsigned int)value : (unsigned int)value, 10);
}

size_t vformat(char *out, size_t size, const char *fmt, va_list args)
{
	struct sink sink = { .out = out, .size = size };

	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			put(&sink, *fmt);
			continue;
		}
		switch (*++fmt) {
		case 's':
			put_text(&sink, va_arg(args, const char *));
			break;
		case 'c':
			put(&sink, (char)va_arg(args, int));
			break;
		case 'd':
			put_signed(&sink, va_arg(args, int));
			break;
		case 'u':
			put_number(&sink, va_arg(args, unsigned int), 10);
			break;
		case 'x':
			put_number(&sink, va_arg(args, unsigned int), 16);
			break;
		default:
			put(&sink, *fmt);
			break;
		}
	}
	sink.out[sink.used] = '\0';
	return sink.used;
}

size_t format(char *out, size_t size, const char *fmt, ...)
{
	va_list args;
	size_t used;

	va_start(args, fmt);
	used = vformat(out, size, fmt, args);
	va_end(args);
	return used;
}
