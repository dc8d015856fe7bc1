/* SPDX-License-Identifier: MIT */
#include "barrier.h"
#include "vboard.h"
#include "vring.h"

#define VRING_DESC_F_NEXT		(1u << 0)
#define VRING_DESC_F_INDIRECT		(1u << 2)
#define VRING_AVAIL_F_NO_INTERRUPT	(1u << 0)
#define VRING_USED_F_NO_NOTIFY		(1u << 0)

struct vring_desc {
	uint32_t addr;
	uint32_t addr_high;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

struct vring_avail {
	uint16_t flags;
	uint16_t idx;
	uint16_t ring[];
};

struct vring_used {
	uint16_t flags;
	uint16_t idx;
	struct {
		uint32_t id;
		uint32_t len;
	} ring[];
};

void vring_init(struct vring *ring, uint32_t da, uint32_t num, uint32_t align)
{
	uint32_t avail = da + num * sizeof(struct vring_desc);
	/* flags, idx, ring[num], used_event */
	uint32_t avail_end = avail + (3 + num) * sizeof(uint16_t);

	ring->desc = (volatile struct vring_desc *)da;
	ring->avail = (volatile struct vring_avail *)avail;
	ring->used = (volatile struct vring_used *)((avail_end + align - 1) & ~(align - 1));
	ring->num = (uint16_t)num;
	ring->seen = 0;
	ring->returned = 0;
}

/* Only memory that Linux and this core agreed on is ever written to. */
static bool in_buffers(uint32_t addr, uint32_t size)
{
	return addr >= VB_VDEV_BUFFER_BASE && size <= VB_VDEV_BUFFER_SIZE &&
	       addr - VB_VDEV_BUFFER_BASE <= VB_VDEV_BUFFER_SIZE - size;
}

bool vring_take(struct vring *ring, struct vring_buffer *buffer)
{
	volatile struct vring_desc *desc;

	if (ring->avail->idx == ring->seen)
		return false;
	/* The index first, then what it covers. */
	dmb();
	buffer->id = ring->avail->ring[ring->seen % ring->num];
	ring->seen++;
	desc = &ring->desc[buffer->id % ring->num];
	buffer->data = (uint8_t *)desc->addr;
	buffer->size = desc->len;
	if (buffer->id >= ring->num || desc->addr_high != 0 ||
	    (desc->flags & (VRING_DESC_F_NEXT | VRING_DESC_F_INDIRECT)) != 0 ||
	    !in_buffers(desc->addr, desc->len))
		buffer->size = 0;
	return true;
}

void vring_untake(struct vring *ring)
{
	ring->seen--;
}

void vring_return(struct vring *ring, const struct vring_buffer *buffer, uint32_t written)
{
	uint16_t slot = ring->returned % ring->num;

	ring->used->ring[slot].id = buffer->id;
	ring->used->ring[slot].len = written;
	/* The data and the entry first, then the index that publishes them. */
	dmb();
	ring->used->idx = ++ring->returned;
}

bool vring_wants_ring(const struct vring *ring)
{
	/* The index must be out before the flag is read, or a ring could get lost. */
	dmb();
	return (ring->avail->flags & VRING_AVAIL_F_NO_INTERRUPT) == 0;
}

void vring_ask_ring(struct vring *ring, bool wanted)
{
	ring->used->flags = wanted ? 0 : VRING_USED_F_NO_NOTIFY;
	/* Out before the caller looks at the index again. */
	dmb();
}
