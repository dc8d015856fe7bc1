// SPDX-License-Identifier: MIT
/*
 * What is to run: items of one key character, a string and a NUL. Keys:
 *   a argument, e environment, w working directory, u user, g group, G further group, M umask,
 *   t terminal (rows, columns), n no new privileges, r limit (number, soft, hard),
 *   B E P I A capability sets in hexadecimal (bounding, effective, permitted, inheritable, ambient);
 * of the container only:
 *   h host name, d domain name, m mount (type, source, target, flags, data), o root is read-only,
 *   k kernel setting (path, value), R random seed in hexadecimal, T time (seconds, nanoseconds),
 *   i network device (hardware address, name, MTU, 1 for no IPv6), N message of rtnetlink(7) about one (net.c),
 *   D device file (path, major, minor, user, group).
 * Fields of one value are separated by the character 1.
 */
#include <stdlib.h>
#include <string.h>

#include "agent.h"

bool items_parse(struct items *items, char *payload, size_t size)
{
	size_t count = 0;

	for (size_t at = 0; at < size; at++)
		count += payload[at] == 0;
	if (size && payload[size - 1])
		return false;
	items->list = calloc(count + 1, sizeof(*items->list));
	items->count = 0;
	if (!items->list)
		return false;
	for (char *at = payload; at < payload + size; at += strlen(at) + 1) {
		if (!*at)
			return false;
		items->list[items->count++] = (struct item){*at, at + 1};
	}
	return true;
}

const char *item(const struct items *items, char key, const char *absent)
{
	for (size_t at = 0; at < items->count; at++)
		if (items->list[at].key == key)
			return items->list[at].value;
	return absent;
}

unsigned item_number(const struct items *items, char key, unsigned absent)
{
	const char *value = item(items, key, NULL);

	return value ? (unsigned)strtoul(value, NULL, 10) : absent;
}

char **item_strings(const struct items *items, char key)
{
	char **strings = calloc(items->count + 1, sizeof(*strings));
	size_t count = 0;

	for (size_t at = 0; strings && at < items->count; at++)
		if (items->list[at].key == key)
			strings[count++] = (char *)items->list[at].value;
	return strings;
}

unsigned fields(char *value, char **into, unsigned count)
{
	unsigned found = 0;

	for (char *at = value; at && found < count; found++) {
		into[found] = at;
		at = strchr(at, 1);
		if (at)
			*at++ = 0;
	}
	for (unsigned rest = found; rest < count; rest++)
		into[rest] = (char *)"";
	return found;
}
