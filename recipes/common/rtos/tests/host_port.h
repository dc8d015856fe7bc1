/* SPDX-License-Identifier: MIT */
/* port.h on a build host: tasks are ucontexts, time is a number that moves when nobody runs. */
#ifndef HOST_PORT_H
#define HOST_PORT_H

#include <ucontext.h>

struct port_context {
	ucontext_t ucontext;
};

#endif
