/* SPDX-License-Identifier: MIT */
#include <stdbool.h>
#include <stdint.h>

#include "format.h"
#include "mem.h"

struct sink {
	char *out;
	size_t size;
	size_t used;
};

struct spec {
	bool left;
	char fill;
	unsigned int width;
	bool is_long;
};

static void put(struct sink *sink, char c)
{
	if (sink->used + 1 < sink->size)
		sink->out[sink->used++] = c;
}

static void put_field(struct sink *sink, const struct spec *spec, const char *text, size_t length)
{
	size_t fill = spec->width > length ? spec->width - length : 0;

	/* A sign stays before zeros. */
	if (spec->fill == '0' && length && *text == '-') {
		put(sink, *text++);
		length--;
	}
	if (!spec->left) {
		for (size_t i = 0; i < fill; i++)
			put(sink, spec->fill);
	}
	for (size_t i = 0; i < length; i++)
		put(sink, text[i]);
	if (spec->left) {
		for (size_t i = 0; i < fill; i++)
			put(sink, ' ');
	}
}

static void put_number(struct sink *sink, const struct spec *spec, uint64_t value,
		       unsigned int base, bool negative)
{
	char digits[21];
	size_t at = sizeof(digits);

	do {
		digits[--at] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	if (negative)
		digits[--at] = '-';
	put_field(sink, spec, digits + at, sizeof(digits) - at);
}

static const char *parse(const char *fmt, struct spec *spec)
{
	for (; *fmt == '-' || *fmt == '0'; fmt++) {
		if (*fmt == '-')
			spec->left = true;
		else
			spec->fill = '0';
	}
	for (int digits = 0; digits < 2 && *fmt >= '0' && *fmt <= '9'; digits++, fmt++)
		spec->width = spec->width * 10 + (unsigned int)(*fmt - '0');
	for (; *fmt == 'l' || *fmt == 'z'; fmt++)
		spec->is_long = true;
	if (spec->left)
		spec->fill = ' ';
	return fmt;
}

static void put_signed(struct sink *sink, const struct spec *spec, long value)
{
	uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	put_number(sink, spec, size, 10, value < 0);
}

size_t vformat(char *out, size_t size, const char *fmt, va_list args)
{
	struct sink sink = { .out = out, .size = size };

	for (; *fmt; fmt++) {
		struct spec spec = { .fill = ' ' };
		const char *text;
		char c;

		if (*fmt != '%') {
			put(&sink, *fmt);
			continue;
		}
		fmt = parse(fmt + 1, &spec);
		switch (*fmt) {
		case 's':
			text = va_arg(args, const char *);
			put_field(&sink, &spec, text, strlen(text));
			break;
		case 'c':
			c = (char)va_arg(args, int);
			put_field(&sink, &spec, &c, 1);
			break;
		case 'd':
			put_signed(&sink, &spec, spec.is_long ? va_arg(args, long) : va_arg(args, int));
			break;
		case 'u':
		case 'x':
			put_number(&sink, &spec,
				   spec.is_long ? va_arg(args, unsigned long)
						: va_arg(args, unsigned int),
				   *fmt == 'u' ? 10 : 16, false);
			break;
		case '\0':
			fmt--;
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
