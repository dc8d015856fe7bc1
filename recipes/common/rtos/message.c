/* SPDX-License-Identifier: MIT */
#include "message.h"
#include "mem.h"

#define HEADER		16
#define H_TYPE		0
#define H_REQUEST	1
#define H_LENGTH	3

bool message_feed(struct message_reader *reader, char byte)
{
	struct message *message = &reader->message;
	uint32_t at = reader->used++;

	if (at < HEADER) {
		((char *)reader->header)[at] = byte;
		if (at == 0)
			message->length = 0;
	} else if (message->length + 1 < sizeof(message->payload)) {
		message->payload[message->length++] = byte;
	}
	if (reader->used < HEADER || reader->used - HEADER < reader->header[H_LENGTH])
		return false;
	message->type = reader->header[H_TYPE];
	message->request = reader->header[H_REQUEST];
	message->payload[message->length] = '\0';
	reader->used = 0;
	return true;
}

size_t message_make(char *out, size_t size, uint32_t type, uint32_t request, const char *first,
		    const char *second, bool terminated)
{
	size_t one = strlen(first) + 1;
	size_t two = second ? strlen(second) + terminated : 0;
	uint32_t header[4] = { type, request, 0, (uint32_t)(one + two) };

	if (HEADER + one + two > size)
		return 0;
	memcpy(out, header, HEADER);
	memcpy(out + HEADER, first, one);
	if (second)
		memcpy(out + HEADER + one, second, two);
	return HEADER + one + two;
}
