// SPDX-License-Identifier: MIT
/* Frames over the ring, in both directions, without blocking. */
#include <stdlib.h>
#include <string.h>

#include "agent.h"

static char *queue; /* what the ring had no room for */
static size_t queued, capacity;

static struct header header;
static size_t header_has, payload_has;
static char *payload;

void link_open(void)
{
	uint32_t version = PROTOCOL_VERSION;

	link_send(HELLO, 0, 0, &version, sizeof(version));
}

bool link_congested(void)
{
	return queued > 0;
}

static void put(const void *data, size_t size)
{
	size_t done = queued ? 0 : ring_write(data, size);

	if (done == size)
		return;
	if (queued + size - done > capacity) {
		capacity = 2 * (queued + size - done);
		queue = realloc(queue, capacity);
		if (!queue)
			give_up("out of memory");
	}
	memcpy(queue + queued, (const char *)data + done, size - done);
	queued += size - done;
}

void link_send(enum type type, unsigned session, unsigned stream, const void *data, size_t size)
{
	struct header head = {(uint8_t)type, (uint8_t)stream, (uint16_t)session, (uint32_t)size};

	put(&head, sizeof(head));
	put(data, size);
	ring_notify();
}

static bool receive(void)
{
	if (header_has < sizeof(header)) {
		header_has += ring_read((char *)&header + header_has, sizeof(header) - header_has);
		if (header_has < sizeof(header))
			return false;
		if (header.length > MAX_FRAME)
			give_up("a frame is too long");
		payload = malloc(header.length + 1);
		if (!payload)
			give_up("out of memory");
		payload_has = 0;
	}
	payload_has += ring_read(payload + payload_has, header.length - payload_has);
	return payload_has == header.length;
}

void link_pump(void (*handle)(const struct header *header, char *payload))
{
	bool moved = false;

	if (queued) {
		size_t done = ring_write(queue, queued);
		memmove(queue, queue + done, queued - done);
		queued -= done;
		moved = done > 0;
	}
	while (receive()) {
		payload[header.length] = 0;
		handle(&header, payload);
		free(payload);
		payload = NULL;
		header_has = 0;
		moved = true;
	}
	if (moved || payload_has)
		ring_notify(); /* dom0 may wait for room */
}
