// SPDX-License-Identifier: MIT
/* The agent's network part on this machine: items on standard input, 0 or errno as exit code. */
#include <errno.h>
#include <unistd.h>

#include "agent.h"

int main(void)
{
	static char payload[65536];
	struct items items;
	ssize_t size = read(0, payload, sizeof(payload));

	if (size < 0 || !items_parse(&items, payload, (size_t)size))
		return 255;
	return net_make(&items) ? 0 : errno;
}
