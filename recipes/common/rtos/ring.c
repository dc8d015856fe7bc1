/* SPDX-License-Identifier: MIT */
#include "ring.h"

static uint32_t load(const uint32_t *index)
{
	return __atomic_load_n(index, __ATOMIC_ACQUIRE);
}

uint32_t ring_used(const struct ring *ring)
{
	uint32_t used = load(ring->prod) - load(ring->cons);

	return used <= ring->size ? used : 0;
}

size_t ring_put(struct ring *ring, const char *bytes, size_t length)
{
	uint32_t prod = *ring->prod;
	uint32_t used = prod - load(ring->cons);
	uint32_t room = used <= ring->size ? ring->size - used : 0;
	size_t count = length < room ? length : room;

	for (size_t i = 0; i < count; i++)
		ring->bytes[(prod + i) & (ring->size - 1)] = bytes[i];
	__atomic_store_n(ring->prod, prod + (uint32_t)count, __ATOMIC_RELEASE);
	return count;
}

size_t ring_take(struct ring *ring, char *bytes, size_t length)
{
	uint32_t cons = *ring->cons;
	uint32_t used = ring_used(ring);
	size_t count = length < used ? length : used;

	for (size_t i = 0; i < count; i++)
		bytes[i] = ring->bytes[(cons + i) & (ring->size - 1)];
	__atomic_store_n(ring->cons, cons + (uint32_t)count, __ATOMIC_RELEASE);
	return count;
}
