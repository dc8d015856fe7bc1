/* SPDX-License-Identifier: MIT */
#include "clock.h"
#include "ipi.h"
#include "mem.h"
#include "resources.h"
#include "rpmsg.h"
#include "trace.h"
#include "vring.h"

#define RPMSG_NS_ADDRESS	53
#define RPMSG_NS_CREATE		0

/*
 * After a message the ring is looked at without being rung for this long. Linux's
 * mailbox lets a doorbell wait for the previous one's acknowledgement, which it
 * polls every 5 ms, and drops doorbells when 20 wait; so there must not be one a
 * message.
 */
#define POLL_MS			10

struct rpmsg_header {
	uint32_t source;
	uint32_t destination;
	uint32_t reserved;
	uint16_t length;
	uint16_t flags;
	uint8_t data[];
};

struct rpmsg_ns_message {
	char name[RPMSG_NAME_SIZE];
	uint32_t address;
	uint32_t flags;
};

static struct {
	struct rpmsg_endpoint *endpoints;
	size_t count;
	struct vring to_linux;		/* Linux's receive ring */
	struct vring from_linux;	/* Linux's transmit ring */
	bool up;
	bool polling;	/* looking at from_linux without being rung */
	bool returned;	/* a ring has news for Linux */
	struct clock_timer quiet;
} link;

static struct rpmsg_endpoint *find(uint32_t address)
{
	for (size_t i = 0; i < link.count; i++) {
		if (link.endpoints[i].address == address)
			return &link.endpoints[i];
	}
	return NULL;
}

static enum rpmsg_result send_raw(uint32_t from, uint32_t to, const void *data, size_t length)
{
	struct vring_buffer buffer;
	struct rpmsg_header *header;

	if (!link.up)
		return RPMSG_DOWN;
	if (length > RPMSG_PAYLOAD_MAX)
		return RPMSG_TOO_LONG;
	do {
		if (!vring_take(&link.to_linux, &buffer))
			return RPMSG_NO_BUFFER;
		/* Linux always offers 512 bytes; anything less goes straight back. */
		if (buffer.size < sizeof(*header) + length)
			vring_return(&link.to_linux, &buffer, 0);
	} while (buffer.size < sizeof(*header) + length);

	header = (struct rpmsg_header *)buffer.data;
	header->source = from;
	header->destination = to;
	header->reserved = 0;
	header->length = (uint16_t)length;
	header->flags = 0;
	memcpy(header->data, data, length);
	vring_return(&link.to_linux, &buffer, sizeof(*header) + length);
	link.returned = true;
	return RPMSG_SENT;
}

enum rpmsg_result rpmsg_send(const struct rpmsg_endpoint *from, uint32_t to,
			     const void *data, size_t length)
{
	return send_raw(from->address, to, data, length);
}

static void announce(const struct rpmsg_endpoint *endpoint)
{
	struct rpmsg_ns_message message = {
		.address = endpoint->address,
		.flags = RPMSG_NS_CREATE,
	};
	size_t length = strlen(endpoint->service);

	if (length >= RPMSG_NAME_SIZE)
		length = RPMSG_NAME_SIZE - 1;
	memcpy(message.name, endpoint->service, length);
	if (send_raw(RPMSG_NS_ADDRESS, RPMSG_NS_ADDRESS, &message, sizeof(message)) == RPMSG_SENT)
		trace_printf("rpmsg: announced %s at address %u\n", endpoint->service,
			     (unsigned int)endpoint->address);
	else
		trace_printf("rpmsg: no buffer to announce %s\n", endpoint->service);
}

static void start_polling(void)
{
	vring_ask_ring(&link.from_linux, false);
	link.polling = true;
	clock_restart(&link.quiet);
}

static void bring_up(void)
{
	volatile struct rsc_vdev *vdev = &resources.rpmsg;

	vring_init(&link.to_linux, vdev->vring[0].da, vdev->vring[0].num, vdev->vring[0].align);
	vring_init(&link.from_linux, vdev->vring[1].da, vdev->vring[1].num, vdev->vring[1].align);
	/* A sender that found no buffer tries again by itself. */
	vring_ask_ring(&link.to_linux, false);
	link.up = true;
	start_polling();
	if (vdev->gfeatures & VIRTIO_RPMSG_F_NS) {
		for (size_t i = 0; i < link.count; i++)
			announce(&link.endpoints[i]);
	}
}

/* True if the message is done with, false to see it again later. */
static bool deliver(const struct vring_buffer *buffer)
{
	const struct rpmsg_header *header = (const struct rpmsg_header *)buffer->data;
	struct rpmsg_endpoint *endpoint;

	if (buffer->size < sizeof(*header) ||
	    header->length > buffer->size - sizeof(*header)) {
		trace_printf("rpmsg: dropped a malformed message\n");
		return true;
	}
	endpoint = find(header->destination);
	if (!endpoint) {
		trace_printf("rpmsg: dropped a message to address %u, where nobody is\n",
			     (unsigned int)header->destination);
		return true;
	}
	return endpoint->receive(endpoint, header->source, header->data, header->length);
}

/* True if there was a message, done with or not. */
static bool drain(void)
{
	struct vring_buffer buffer;
	bool any = false;

	while (vring_take(&link.from_linux, &buffer)) {
		any = true;
		if (!deliver(&buffer)) {
			vring_untake(&link.from_linux);
			break;
		}
		vring_return(&link.from_linux, &buffer, 0);
		link.returned = true;
	}
	return any;
}

static void receive(void)
{
	if (ipi_taken() && !link.polling)
		start_polling();
	if (!link.polling)
		return;
	if (drain()) {
		clock_restart(&link.quiet);
	} else if (clock_due(&link.quiet)) {
		vring_ask_ring(&link.from_linux, true);
		link.polling = false;
		/* What came before Linux could know. */
		if (drain())
			start_polling();
	}
}

void rpmsg_init(struct rpmsg_endpoint *endpoints, size_t count)
{
	link.endpoints = endpoints;
	link.count = count;
	link.quiet.period_ms = POLL_MS;
	ipi_init();
}

void rpmsg_flush(void)
{
	if (!link.up || !link.returned)
		return;
	link.returned = false;
	if (vring_wants_ring(&link.to_linux) || vring_wants_ring(&link.from_linux))
		ipi_ring();
}

void rpmsg_poll(void)
{
	if (!(resources.rpmsg.status & VIRTIO_STATUS_DRIVER_OK)) {
		link.up = false;
		return;
	}
	if (!link.up)
		bring_up();
	receive();
	rpmsg_flush();
}
