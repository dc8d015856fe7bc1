/* SPDX-License-Identifier: MIT */
/*
 * The device's side of a split virtqueue (Virtual I/O Device 1.2, 2.7), without
 * indirect descriptors, chains or event indices: RPMsg uses none of them.
 */
#ifndef R5_VRING_H
#define R5_VRING_H

#include <stdbool.h>
#include <stdint.h>

struct vring_desc;
struct vring_avail;
struct vring_used;

struct vring {
	volatile struct vring_desc *desc;
	volatile struct vring_avail *avail;
	volatile struct vring_used *used;
	uint16_t num;
	uint16_t seen;		/* buffers taken so far */
	uint16_t returned;	/* buffers given back so far */
};

/* A buffer the driver made available. */
struct vring_buffer {
	uint8_t *data;
	uint32_t size;		/* bytes; 0 if its descriptor is not usable */
	uint16_t id;
};

/* Attaches to a ring that the driver laid out at da with num entries (a power of two). */
void vring_init(struct vring *ring, uint32_t da, uint32_t num, uint32_t align);

/* Takes the next available buffer; false if there is none. */
bool vring_take(struct vring *ring, struct vring_buffer *buffer);

/* Undoes the last vring_take(): the same buffer comes again. */
void vring_untake(struct vring *ring);

/* Gives a buffer back with `written` bytes of data in it. */
void vring_return(struct vring *ring, const struct vring_buffer *buffer, uint32_t written);

/* Whether the driver wants to be rung for returned buffers. */
bool vring_wants_ring(const struct vring *ring);

/*
 * Asks the driver to ring, or not to, when it makes buffers available. Buffers
 * may have come just before it could see a request to ring: look once more.
 */
void vring_ask_ring(struct vring *ring, bool wanted);

#endif
