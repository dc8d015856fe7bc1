/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

#define DEPTH	16

static const char *blanks(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

static const char *after_string(const char *p)
{
	for (p++; *p != '"'; p++) {
		if (*p == '\\')
			p++;
		if (*p == '\0')
			return NULL;
	}
	return p + 1;
}

static const char *after_value(const char *p, int depth);

/* Behind "name" and ":", where the member's value begins. */
static const char *after_name(const char *p)
{
	p = *p == '"' ? after_string(p) : NULL;
	if (!p)
		return NULL;
	p = blanks(p);
	return *p == ':' ? blanks(p + 1) : NULL;
}

static const char *after_entries(const char *p, char close, int depth)
{
	p = blanks(p + 1);
	if (*p == close)
		return p + 1;
	for (;;) {
		if (close == '}')
			p = after_name(p);
		p = p ? after_value(p, depth) : NULL;
		if (!p)
			return NULL;
		p = blanks(p);
		if (*p == close)
			return p + 1;
		if (*p != ',')
			return NULL;
		p = blanks(p + 1);
	}
}

static const char *after_value(const char *p, int depth)
{
	size_t length;

	if (depth == 0)
		return NULL;
	if (*p == '"')
		return after_string(p);
	if (*p == '{')
		return after_entries(p, '}', depth - 1);
	if (*p == '[')
		return after_entries(p, ']', depth - 1);
	length = strcspn(p, " \t\r\n,]}");
	return length ? p + length : NULL;
}

/* What follows this value in its object (a name) or array (a value); NULL at the end. */
static const char *next(const char *value)
{
	const char *p = after_value(value, DEPTH);

	if (!p)
		return NULL;
	p = blanks(p);
	return *p == ',' ? blanks(p + 1) : NULL;
}

const char *json_document(const char *text)
{
	return after_value(blanks(text), DEPTH) ? blanks(text) : NULL;
}

const char *json_member(const char *object, const char *name)
{
	size_t length = strlen(name);

	if (!object || *object != '{')
		return NULL;
	for (const char *p = blanks(object + 1); p && *p == '"';) {
		const char *value = after_name(p);

		if (!value)
			return NULL;
		if (strncmp(p + 1, name, length) == 0 && p[length + 1] == '"')
			return value;
		p = next(value);
	}
	return NULL;
}

const char *json_item(const char *array, size_t n)
{
	const char *p;

	if (!array || *array != '[')
		return NULL;
	p = blanks(array + 1);
	if (*p == ']')
		return NULL;
	while (p && n-- > 0)
		p = next(p);
	return p;
}

bool json_string(const char *value, char *copy, size_t room)
{
	size_t length;

	if (!value || *value != '"')
		return false;
	length = strcspn(value + 1, "\"\\");
	if (value[length + 1] != '"' || length >= room)
		return false;
	memcpy(copy, value + 1, length);
	copy[length] = '\0';
	return true;
}

bool json_number(const char *value, uint64_t *number)
{
	char *end;

	if (!value || *value < '0' || *value > '9')
		return false;
	errno = 0;
	*number = strtoull(value, &end, 10);
	return errno == 0 && *number >> 63 == 0 && strchr(" \t\r\n,]}", *end) != NULL;
}
