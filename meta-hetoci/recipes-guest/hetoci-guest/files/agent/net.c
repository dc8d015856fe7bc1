// SPDX-License-Identifier: MIT
/* The domain's network devices, made like those of the container's namespace in dom0. */
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent.h"

#define DEVICES 32
#define FIELDS 4
#ifndef TRIES
#define TRIES 3000 /* of 10 ms */
#endif
#define FIRST_INDICES 256 /* where a new kernel's devices are */

static int control; /* any socket, for the ioctls of netdevice(7) */
static int indices[DEVICES + 1];

static bool change(struct ifreq *request, unsigned long what)
{
	return !ioctl(control, what, request);
}

static bool set_up(const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_UP};

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	return change(&request, SIOCSIFFLAGS);
}

static bool is_at(int index, const unsigned char *mac, struct ifreq *request)
{
	*request = (struct ifreq){.ifr_ifindex = index};
	return change(request, SIOCGIFNAME) && change(request, SIOCGIFHWADDR) &&
	       request->ifr_hwaddr.sa_family == ARPHRD_ETHER &&
	       !memcmp(request->ifr_hwaddr.sa_data, mac, 6);
}

/* The device with this hardware address; its front end may be on its way still. */
static int find(const unsigned char *mac, struct ifreq *request)
{
	for (int tries = 0; tries < TRIES; tries++) {
		for (int index = 1; index < FIRST_INDICES; index++)
			if (is_at(index, mac, request))
				return index;
		usleep(10000);
	}
	errno = ENODEV;
	return 0;
}

static bool rename_to(struct ifreq *request, const char *name)
{
	if (!strcmp(request->ifr_name, name))
		return true;
	snprintf(request->ifr_newname, IFNAMSIZ, "%s", name);
	return change(request, SIOCSIFNAME);
}

/* Out of the way of the others' names. */
static void name_for_now(char name[IFNAMSIZ], unsigned place)
{
	snprintf(name, IFNAMSIZ, "device%u", place % 100);
}

static bool find_device(unsigned place, char *const field[FIELDS])
{
	unsigned char mac[6] = {0};
	struct ifreq request;
	char name[IFNAMSIZ];

	for (int byte = 0; byte < 6; byte++)
		sscanf(field[0] + 2 * byte, "%2hhx", &mac[byte]);
	indices[place] = find(mac, &request);
	name_for_now(name, place);
	return indices[place] && rename_to(&request, name);
}

static bool without_ipv6(const char *name)
{
	char path[96];

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%.15s/disable_ipv6", name);
	int file = open(path, O_WRONLY | O_CLOEXEC);
	bool done = file >= 0 && write(file, "1", 1) == 1;
	if (file >= 0)
		close(file);
	return done;
}

static bool set_device(unsigned place, char *const field[FIELDS])
{
	struct ifreq request = {0};

	name_for_now(request.ifr_name, place);
	if (!rename_to(&request, field[1]))
		return false;
	if (*field[3] == '1' && !without_ipv6(field[1]))
		return false;
	request = (struct ifreq){.ifr_mtu = atoi(field[2])};
	strncpy(request.ifr_name, field[1], IFNAMSIZ - 1);
	return change(&request, SIOCSIFMTU) && set_up(field[1]);
}

/* A message of rtnetlink(7), in hexadecimal. In the place of a device's index it has a number. */
static bool tell(int kernel, const char *hex)
{
	struct {
		struct nlmsghdr head;
		unsigned char body[1024];
	} message = {0};
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		char rest[2048];
	} answer;
	unsigned kind = 0, size = 0;
	int place;

	if (sscanf(hex, "%4x", &kind) != 1)
		kind = 0;
	for (hex += 4; size < sizeof(message.body) && sscanf(hex, "%2hhx", &message.body[size]) == 1;
	     hex += 2)
		size++;
	unsigned char *at = message.body + (kind == RTM_NEWROUTE
						    ? sizeof(struct rtmsg) + sizeof(struct rtattr)
						    : offsetof(struct ifaddrmsg, ifa_index));
	memcpy(&place, at, sizeof(place));
	if (*hex || size < 20 || place < 1 || place > DEVICES) {
		errno = EINVAL;
		return false;
	}
	memcpy(at, &indices[place], sizeof(place));
	message.head = (struct nlmsghdr){
		.nlmsg_len = (uint32_t)(sizeof(message.head) + size),
		.nlmsg_type = (uint16_t)kind,
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE,
	};
	if (send(kernel, &message, message.head.nlmsg_len, 0) < 0 ||
	    recv(kernel, &answer, sizeof(answer), 0) < (ssize_t)NLMSG_LENGTH(sizeof(int)))
		return false;
	errno = -answer.error.error;
	return !errno;
}

static bool tell_all(char **messages)
{
	int kernel = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	bool done = kernel >= 0;

	for (; done && messages && *messages; messages++)
		done = tell(kernel, *messages);
	if (kernel >= 0)
		close(kernel);
	return done;
}

bool net_make(const struct items *items)
{
	char **devices = item_strings(items, 'i');
	char *field[DEVICES + 1][FIELDS];
	unsigned count = 0;
	bool done = true;

	control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	set_up("lo");
	for (; done && devices && devices[count]; count++) {
		fields(devices[count], field[count], FIELDS);
		done = count < DEVICES && find_device(count + 1, field[count]);
	}
	for (unsigned n = 0; done && n < count; n++)
		done = set_device(n + 1, field[n]);
	done = done && (!count || tell_all(item_strings(items, 'N')));
	close(control);
	return done;
}
