/* SPDX-License-Identifier: MIT */
/* Xen's event channels, two-level form (public/event_channel.h, public/xen.h). */
#ifndef RTOS_EVENT_H
#define RTOS_EVENT_H

#include <stdint.h>

/* Share the page with Xen and take its interrupt. */
void event_init(uint32_t irq);

/* Call `handler` in an interrupt when the other end notifies. */
void event_attach(uint32_t port, void (*handler)(void *), void *context);

#endif
