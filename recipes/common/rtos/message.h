/* SPDX-License-Identifier: MIT */
/* Messages of xenstore (public/io/xs_wire.h). */
#ifndef RTOS_MESSAGE_H
#define RTOS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XS_READ		2
#define XS_WATCH	4
#define XS_WRITE	11
#define XS_WATCH_EVENT	15
#define XS_ERROR	16

#define MESSAGE_BYTES	128	/* longest message that is taken or made, with its header */

struct message {
	uint32_t type;
	uint32_t request;	/* in a reply: the id of the request */
	uint32_t length;	/* of the payload kept, which is always terminated */
	char payload[MESSAGE_BYTES];
};

/* Assembles messages from a stream of bytes; what is too long is cut. */
struct message_reader {
	uint32_t header[4];
	uint32_t used;		/* bytes of the message so far */
	struct message message;
};

/* Take one byte; returns true if it completed reader->message. */
bool message_feed(struct message_reader *reader, char byte);

/* Write a message with up to two parts, each with its NUL if `terminated`; 0 if it does not fit. */
size_t message_make(char *out, size_t size, uint32_t type, uint32_t request, const char *first,
		    const char *second, bool terminated);

#endif
