// SPDX-License-Identifier: MIT
/*
 * A shared ring in the layout of Xen's DEFINE_XEN_FLEX_RING_AND_INTF (xen/include/public/io/ring.h),
 * the one that 9P over Xen uses, so that dom0 needs one kind of ring only. Its pages are granted
 * by /dev/xen/gntalloc, its event channel comes from /dev/xen/evtchn, and the Xen store says where
 * both are.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent.h"

#define PAGE 4096u
#define ORDER 4u
#define PAGES (1u << ORDER)
#define HALF (PAGES * PAGE / 2)

struct interface {
	volatile uint32_t in_cons, in_prod;
	uint8_t pad1[56];
	volatile uint32_t out_cons, out_prod;
	uint8_t pad2[56];
	uint32_t order;
	uint32_t ref[];
};

/* linux/gntalloc.h, linux/evtchn.h */
struct alloc_grefs {
	uint16_t domain;
	uint16_t flags;
	uint32_t count;
	uint64_t index;
	uint32_t refs[PAGES];
};
#define ALLOC_GREF _IOC(_IOC_NONE, 'G', 5, 24)
#define BIND_UNBOUND _IOC(_IOC_NONE, 'E', 2, 4)
#define NOTIFY _IOC(_IOC_NONE, 'E', 4, 4)

static struct interface *shared;
static uint8_t *in, *out;
static int events;
static uint32_t port;

static void *grant(int gntalloc, unsigned pages, uint32_t *refs)
{
	struct alloc_grefs ask = {.domain = 0, .flags = 1, .count = pages};

	if (ioctl(gntalloc, ALLOC_GREF, &ask))
		give_up("cannot grant pages");
	memcpy(refs, ask.refs, pages * sizeof(*refs));
	void *map = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, gntalloc,
			 (off_t)ask.index);
	if (map == MAP_FAILED)
		give_up("cannot map granted pages");
	return map;
}

/* One request to the Xen store, xen/include/public/io/xs_wire.h; the answer is read and dropped. */
static void announce(int store, const char *key, uint32_t number)
{
	struct {
		uint32_t type, id, transaction, length;
		char body[128];
	} message = {.type = 11 /* XS_WRITE */};

	int used = snprintf(message.body, sizeof(message.body), "data/hetoci/%s", key) + 1;
	used += snprintf(message.body + used, sizeof(message.body) - (size_t)used, "%u", number);
	message.length = (uint32_t)used;
	if (write(store, &message, 16 + (size_t)used) < 0)
		give_up("cannot write to the Xen store");
	if (read(store, &message, 16) != 16 || message.length > sizeof(message.body) ||
	    read(store, message.body, message.length) != (ssize_t)message.length)
		give_up("no answer from the Xen store");
	if (message.type == 16 /* XS_ERROR */)
		give_up("the Xen store refused our ring");
}

int ring_open(void)
{
	uint32_t first;
	uint32_t ask = 0;
	int gntalloc = open("/dev/xen/gntalloc", O_RDWR | O_CLOEXEC);
	int store = open("/dev/xen/xenbus", O_RDWR | O_CLOEXEC);

	events = open("/dev/xen/evtchn", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (gntalloc < 0 || store < 0 || events < 0)
		give_up("a device of Xen is missing");
	shared = grant(gntalloc, 1, &first);
	in = grant(gntalloc, PAGES, shared->ref);
	out = in + HALF;
	shared->order = ORDER;
	int bound = ioctl(events, BIND_UNBOUND, &ask);
	if (bound < 0)
		give_up("cannot get an event channel");
	port = (uint32_t)bound;
	announce(store, "event-channel-0", port);
	announce(store, "ring-ref0", first); /* dom0 waits for this one */
	close(store);
	return events;
}

size_t ring_read(void *data, size_t size)
{
	uint32_t from = shared->in_cons;
	uint32_t have = shared->in_prod - from;

	__sync_synchronize();
	if (have > HALF)
		give_up("dom0 broke the ring");
	if (size > have)
		size = have;
	size_t at = from & (HALF - 1);
	size_t first = size < HALF - at ? size : HALF - at;
	memcpy(data, in + at, first);
	memcpy((char *)data + first, in, size - first);
	__sync_synchronize();
	shared->in_cons = from + (uint32_t)size;
	return size;
}

size_t ring_write(const void *data, size_t size)
{
	uint32_t to = shared->out_prod;
	uint32_t used = to - shared->out_cons;

	__sync_synchronize();
	if (used > HALF)
		give_up("dom0 broke the ring");
	if (size > HALF - used)
		size = HALF - used;
	size_t at = to & (HALF - 1);
	size_t first = size < HALF - at ? size : HALF - at;
	memcpy(out + at, data, first);
	memcpy(out, (const char *)data + first, size - first);
	__sync_synchronize();
	shared->out_prod = to + (uint32_t)size;
	return size;
}

void ring_event(void)
{
	uint32_t which;

	while (read(events, &which, sizeof(which)) == sizeof(which))
		if (write(events, &which, sizeof(which)) < 0)
			give_up("cannot unmask the event channel");
}

void ring_notify(void)
{
	uint32_t ask = port;

	__sync_synchronize();
	ioctl(events, NOTIFY, &ask);
}
