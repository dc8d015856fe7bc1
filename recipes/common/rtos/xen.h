/* SPDX-License-Identifier: MIT */
/* Hypercalls, with the names and numbers of Xen's public headers (xen/include/public). */
#ifndef RTOS_XEN_H
#define RTOS_XEN_H

#include <stdbool.h>
#include <stdint.h>

/* public/sched.h */
#define XEN_SHUTDOWN_POWEROFF	0
#define XEN_SHUTDOWN_REBOOT	1
#define XEN_SHUTDOWN_CRASH	3

/* public/hvm/params.h */
#define HVM_PARAM_STORE_PFN		1
#define HVM_PARAM_STORE_EVTCHN		2
#define HVM_PARAM_CONSOLE_PFN		17
#define HVM_PARAM_CONSOLE_EVTCHN	18

/* End this domain. Never returns. */
void xen_shutdown(uint32_t reason) __attribute__((noreturn));

/* A parameter of this domain; false if Xen has none. */
bool xen_param(uint32_t index, uint64_t *value);

/* Hand text to Xen's own console. A production Xen drops it. */
void xen_console(const char *text, uint32_t length);

/* Map the page shared with Xen at the page given. */
bool xen_map_shared_info(void *page);

/* Notify the other end of an event channel. */
void xen_notify(uint32_t port);

#endif
