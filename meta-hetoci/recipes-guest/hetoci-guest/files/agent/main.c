// SPDX-License-Identifier: MIT
/*
 * Process 1 of a domain that runs one container: connects to the keeper in dom0, mounts what it
 * serves, runs what it is told to. Nothing of it is visible from inside the container, which has
 * its own process and mount namespaces.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"

static bool prepared;

void say(const char *format, ...)
{
	char text[256];
	va_list rest;

	va_start(rest, format);
	vsnprintf(text, sizeof(text), format, rest);
	va_end(rest);
	dprintf(2, "hetoci agent: %s\n", text);
}

void give_up(const char *what)
{
	say("%s: %s", what, strerror(errno));
	_exit(1); /* the kernel panics when process 1 ends */
}

static void seed_random(const char *hex)
{
	struct {
		struct rand_pool_info info;
		unsigned char bytes[64];
	} pool = {0};
	int size = 0;
	int random = open("/dev/random", O_WRONLY | O_CLOEXEC);

	for (; size < 64 && sscanf(hex + 2 * size, "%2hhx", &pool.bytes[size]) == 1; size++)
		;
	pool.info = (struct rand_pool_info){.entropy_count = 8 * size, .buf_size = size};
	if (random < 0 || ioctl(random, RNDADDENTROPY, &pool))
		say("no randomness from dom0: %s", strerror(errno));
	if (random >= 0)
		close(random);
}

/* Once, for the container's own program: what belongs to the whole domain. */
static bool prepare(const struct items *items, const char **what)
{
	char *field[2];

	prepared = true;
	fields(strdup(item(items, 'T', "")), field, 2);
	struct timespec now = {atoll(field[0]), atol(field[1])};
	if (now.tv_sec)
		clock_settime(CLOCK_REALTIME, &now);
	seed_random(item(items, 'R', ""));
	const char *name = item(items, 'h', NULL);
	if (name && sethostname(name, strlen(name)))
		return false;
	name = item(items, 'd', NULL);
	if (name && setdomainname(name, strlen(name)))
		return false;
	if (!net_make(items)) {
		*what = "its network";
		return false;
	}
	if (!mount_share("root", "/root", "cache=loose"))
		return false;
	/* Files that others may change as well are never kept. */
	return !item(items, 'v', NULL) || mount_share("mounts", "/mounts", "cache=mmap");
}

static void run(unsigned id, char *payload, size_t size)
{
	struct items items;

	if (id == 0 && !prepared) {
		char *copy = malloc(size + 1);
		if (!copy)
			give_up("out of memory");
		memcpy(copy, payload, size);
		const char *what = "the container";
		if (!items_parse(&items, copy, size) || !prepare(&items, &what)) {
			char text[128];
			int length = snprintf(text, sizeof(text), "the domain cannot set up %s: %s", what,
					      strerror(errno));
			link_send(FAILED, id, 0, text, (size_t)length);
			return;
		}
	}
	session_run(id, payload, size);
}

static void handle(const struct header *header, char *payload)
{
	uint32_t word = 0;

	memcpy(&word, payload, header->length < 4 ? header->length : 4);
	switch (header->type) {
	case RUN:
		run(header->session, payload, header->length);
		break;
	case SIGNAL:
		session_signal(header->session, (int)word);
		break;
	case RESIZE:
		session_resize(header->session, word & 0xffff, word >> 16);
		break;
	case DATA:
		session_input(header->session, payload, header->length);
		break;
	case CREDIT:
		session_credit(header->session, header->stream, word);
		break;
	default:
		give_up("dom0 sent an unknown frame");
	}
}

int main(void)
{
	sigset_t all;

	mkdir("/dev", 0755);
	mkdir("/proc", 0755);
	mkdir("/root", 0755);
	mkdir("/mounts", 0755);
	if (mount("dev", "/dev", "devtmpfs", 0, NULL) || mount("proc", "/proc", "proc", 0, NULL))
		give_up("cannot mount /dev and /proc");
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&all);
	sigaddset(&all, SIGCHLD);
	int signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	int ring = ring_open();
	devices_announce();
	link_open();
	for (;;) {
		struct signalfd_siginfo info;
		sessions_poll(ring, signals);
		while (read(signals, &info, sizeof(info)) == sizeof(info))
			;
		sessions_reap();
		link_pump(handle);
	}
}
