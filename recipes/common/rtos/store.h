/* SPDX-License-Identifier: MIT */
/*
 * Xenstore, as far as a domain needs it to be shut down politely and to leave an exit status
 * (Xen, docs/misc/xenstore.txt; xen-pv-control in libxl: control/shutdown).
 */
#ifndef RTOS_STORE_H
#define RTOS_STORE_H

#include <stdint.h>

/* Begin to watch control/shutdown. `asked` is called in a task of its own when the toolstack asks;
 * the reason is acknowledged. Without a store nothing happens. */
void store_start(void (*asked)(void));

/*
 * End the domain: what is on the console is read first; `status` is left in the store as
 * data/hetoci-exit-status, because Xen itself has no number for it. For tasks. Never returns.
 */
void store_shutdown(uint32_t reason, uint32_t status) __attribute__((noreturn));

#endif
