/* SPDX-License-Identifier: MIT */
/*
 * Lines of text over an RPMsg endpoint named rpmsg-tty, which Linux offers as
 * /dev/ttyRPMSGN. Linux's address is not known before it says something, so the
 * greeting answers the first message.
 */
#ifndef R5_CONSOLE_H
#define R5_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rpmsg.h"

#define CONSOLE_LINE_MAX	240	/* longer lines are cut into several */

struct console {
	const char *greeting;	/* with its newline */
	/*
	 * A line without its end, NUL terminated, never empty. False: no buffer for
	 * the answer; the same line comes again.
	 */
	bool (*line)(struct rpmsg_endpoint *endpoint, uint32_t source, const char *text);

	/* the console's own */
	char text[CONSOLE_LINE_MAX + 1];
	size_t used;
	size_t consumed;	/* of a message that comes again */
	uint32_t greeted;	/* source; 0 is nobody */
};

/* An rpmsg_endpoint's receive() whose context is a struct console. */
bool console_receive(struct rpmsg_endpoint *endpoint, uint32_t source,
		     const uint8_t *data, size_t length);

#endif
