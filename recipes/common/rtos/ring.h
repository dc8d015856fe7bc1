/* SPDX-License-Identifier: MIT */
/* One direction of a ring shared with dom0. The other side's indices are not trusted. */
#ifndef RTOS_RING_H
#define RTOS_RING_H

#include <stddef.h>
#include <stdint.h>

struct ring {
	char *bytes;
	uint32_t size;			/* a power of two */
	uint32_t *cons, *prod;		/* free-running */
};

/* Bytes that can be read; none if the indices are nonsense. */
uint32_t ring_used(const struct ring *ring);

/* Put or take what fits; returns how much that was. */
size_t ring_put(struct ring *ring, const char *bytes, size_t length);
size_t ring_take(struct ring *ring, char *bytes, size_t length);

#endif
