/* SPDX-License-Identifier: MIT */
/*
 * RPMsg with Linux as the virtio driver and this core as the virtio device
 * (Documentation/staging/rpmsg.rst; drivers/rpmsg/virtio_rpmsg_bus.c).
 *
 * One thread of control: call rpmsg_poll() often, send from anywhere else.
 */
#ifndef R5_RPMSG_H
#define R5_RPMSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RPMSG_PAYLOAD_MAX	496	/* bytes: 512-byte buffers less the header */
#define RPMSG_NAME_SIZE		32	/* of a service, with its NUL */

struct rpmsg_endpoint {
	const char *service;	/* announced to Linux's name service */
	uint32_t address;	/* of this endpoint; 53 is the name service's */
	/*
	 * One message of 0 to 496 bytes; data is valid during the call only. False
	 * leaves it in the ring: the same message comes again at a later poll,
	 * before any that follows it.
	 */
	bool (*receive)(struct rpmsg_endpoint *endpoint, uint32_t source,
			const uint8_t *data, size_t length);
	void *context;		/* the owner's */
};

enum rpmsg_result {
	RPMSG_SENT,
	RPMSG_DOWN,		/* Linux has no driver on the link (yet, or any more) */
	RPMSG_NO_BUFFER,	/* Linux has not emptied its buffers: try later */
	RPMSG_TOO_LONG,		/* more than RPMSG_PAYLOAD_MAX bytes */
};

/* The endpoints are announced whenever Linux's driver appears. */
void rpmsg_init(struct rpmsg_endpoint *endpoints, size_t count);

/* Sees to a link that came or went, to messages that arrived, and rings Linux. */
void rpmsg_poll(void);

/* Queues a message; Linux is rung for it by the next rpmsg_poll() or rpmsg_flush(). */
enum rpmsg_result rpmsg_send(const struct rpmsg_endpoint *from, uint32_t to,
			     const void *data, size_t length);

/* Rings Linux now, if a message was queued. */
void rpmsg_flush(void);

#endif
