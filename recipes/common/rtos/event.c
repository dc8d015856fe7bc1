/* SPDX-License-Identifier: MIT */
#include <stddef.h>

#include "event.h"
#include "gic.h"
#include "trap.h"
#include "xen.h"

#define WORDS		64
#define HANDLERS	4

/* struct shared_info of arm64, to the end of what is used. */
struct shared_info {
	uint8_t upcall_pending;
	uint8_t pad[7];
	uint64_t pending_sel;
	uint64_t time[4];
	uint64_t pending[WORDS];
	uint64_t mask[WORDS];
};

static union {
	struct shared_info info;
	uint8_t page[4096];
} shared __attribute__((aligned(4096)));

static struct handler {
	void (*function)(void *);
	void *context;
	uint32_t port;
} handlers[HANDLERS];
static unsigned int used;

static void handle(uint32_t port)
{
	for (unsigned int i = 0; i < used; i++) {
		if (handlers[i].port == port)
			handlers[i].function(handlers[i].context);
	}
}

static void upcall(void *context)
{
	uint64_t words;

	(void)context;
	__atomic_store_n(&shared.info.upcall_pending, 0, __ATOMIC_SEQ_CST);
	words = __atomic_exchange_n(&shared.info.pending_sel, 0, __ATOMIC_SEQ_CST);
	for (; words; words &= words - 1) {
		uint32_t word = (uint32_t)__builtin_ctzll(words);
		uint64_t bits = __atomic_load_n(&shared.info.pending[word], __ATOMIC_SEQ_CST) &
				~shared.info.mask[word];

		for (; bits; bits &= bits - 1) {
			uint32_t bit = (uint32_t)__builtin_ctzll(bits);

			__atomic_fetch_and(&shared.info.pending[word], ~(1ull << bit),
					   __ATOMIC_SEQ_CST);
			handle(64 * word + bit);
		}
	}
}

void event_init(uint32_t irq)
{
	if (!xen_map_shared_info(&shared))
		panic("Xen does not share its page");
	for (unsigned int i = 0; i < WORDS; i++)
		shared.info.mask[i] = ~0ull;
	irq_attach(irq, IRQ_LEVEL, upcall, NULL);
}

void event_attach(uint32_t port, void (*handler)(void *), void *context)
{
	unsigned long flags = port_lock();

	if (port >= 64 * WORDS || used == HANDLERS)
		panic("no room for a handler of event channel %u", port);
	handlers[used].function = handler;
	handlers[used].context = context;
	handlers[used].port = port;
	used++;
	__atomic_fetch_and(&shared.info.mask[port / 64], ~(1ull << port % 64), __ATOMIC_SEQ_CST);
	/*
	 * While a bit is set Xen does not notify again, and what came while it was masked raised no
	 * interrupt.
	 */
	__atomic_fetch_and(&shared.info.pending[port / 64], ~(1ull << port % 64), __ATOMIC_SEQ_CST);
	port_unlock(flags);
	handler(context);
}
