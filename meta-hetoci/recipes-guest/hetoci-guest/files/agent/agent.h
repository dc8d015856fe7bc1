/* SPDX-License-Identifier: MIT */
/* The agent: process 1 of a domain that runs one container. docs/domain-protocol.md */
#ifndef AGENT_H
#define AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROTOCOL_VERSION 1

/* Frame: header, then `length` bytes. All integers are little endian. */
struct header {
	uint8_t type;
	uint8_t stream;
	uint16_t session;
	uint32_t length;
};

enum type {
	/* to the agent */
	RUN = 1,	/* items, see item.c */
	SIGNAL = 2,	/* u32 number */
	RESIZE = 3,	/* u16 rows, u16 columns */
	/* both ways */
	DATA = 4,	/* bytes of a stream; none: end of it */
	CREDIT = 5,	/* u32: so many more bytes may be sent on the stream */
	/* from the agent */
	HELLO = 6,	/* u32 PROTOCOL_VERSION */
	STARTED = 7,
	FAILED = 8,	/* text: why the program did not start */
	EXITED = 9,	/* u32: code, or 128 + signal; nothing of the session follows */
	DEVICES_FOUND = 10, /* before HELLO: devices passed to the domain, see devices.c */
};

/* Most bytes in flight of one stream that nobody has taken. */
#define WINDOW 65536
#define MAX_FRAME (4u << 20)
#define SESSIONS 64

/* ring.c: a pair of byte rings shared with dom0, announced in the Xen store. */
int ring_open(void);		/* the descriptor to poll; ends the domain on failure */
size_t ring_read(void *data, size_t size);
size_t ring_write(const void *data, size_t size);
void ring_event(void);		/* after poll: take the event */
void ring_notify(void);

/* link.c: frames over the ring. */
void link_open(void);
void link_send(enum type type, unsigned session, unsigned stream, const void *data, size_t size);
void link_pump(void (*handle)(const struct header *header, char *payload));
bool link_congested(void);

/* item.c: what is to run, as keys with strings. */
struct item {
	char key;
	const char *value;
};
struct items {
	struct item *list;
	size_t count;
};
bool items_parse(struct items *items, char *payload, size_t size);
const char *item(const struct items *items, char key, const char *absent);
char **item_strings(const struct items *items, char key);
unsigned item_number(const struct items *items, char key, unsigned absent);

/* fields of one value, separated by the character 1 */
unsigned fields(char *value, char **into, unsigned count);

/* child.c: in the new process, until it becomes the program. `report` takes an error's text. */
struct stdio {
	int in, out, err;	/* the process's ends; -1 with a terminal */
};
_Noreturn void child_main(const struct items *items, const struct stdio *io, int report,
			  int mount_namespace);
_Noreturn void child_fail(int report, const char *what, const char *which);

/* mounts.c: the container's file systems; returns false with errno, *what says at what. */
bool mount_share(const char *tag, const char *where, const char *options);
bool mounts_make(const struct items *items, const char **what);

/* net.c: the domain's network; false with errno. */
bool net_make(const struct items *items);

/* devices.c: what was passed to the domain, and its files in the container. */
void devices_announce(void);
bool devices_make(const struct items *items, const char **what);

/* session.c */
void session_run(unsigned id, char *payload, size_t size);
void session_input(unsigned id, const char *data, size_t size);
void session_credit(unsigned id, unsigned stream, uint32_t more);
void session_signal(unsigned id, int number);
void session_resize(unsigned id, unsigned rows, unsigned columns);
void sessions_reap(void);
void sessions_poll(int ring, int signals);

/* main.c */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void give_up(const char *what);
#endif
