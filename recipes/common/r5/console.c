/* SPDX-License-Identifier: MIT */
#include "console.h"
#include "mem.h"

static bool greet(struct console *console, struct rpmsg_endpoint *endpoint, uint32_t source)
{
	if (console->greeted == source)
		return true;
	if (rpmsg_send(endpoint, source, console->greeting, strlen(console->greeting)) != RPMSG_SENT)
		return false;
	console->greeted = source;
	console->used = 0;
	return true;
}

static bool flush(struct console *console, struct rpmsg_endpoint *endpoint, uint32_t source)
{
	if (console->used == 0)
		return true;
	console->text[console->used] = '\0';
	if (!console->line(endpoint, source, console->text))
		return false;
	console->used = 0;
	return true;
}

bool console_receive(struct rpmsg_endpoint *endpoint, uint32_t source,
		     const uint8_t *data, size_t length)
{
	struct console *console = endpoint->context;

	if (!greet(console, endpoint, source))
		return false;
	for (; console->consumed < length; console->consumed++) {
		char c = (char)data[console->consumed];
		bool end = c == '\n' || c == '\r';

		if ((end || console->used == CONSOLE_LINE_MAX) &&
		    !flush(console, endpoint, source))
			return false;
		/* Lines are C strings: a NUL has no place in one. */
		if (!end && c != '\0')
			console->text[console->used++] = c;
	}
	console->consumed = 0;
	return true;
}
