/* SPDX-License-Identifier: MIT */
#include "console.h"
#include "event.h"
#include "format.h"
#include "machine.h"
#include "message.h"
#include "mmu.h"
#include "ring.h"
#include "store.h"
#include "task.h"
#include "time.h"
#include "xen.h"

#define SHUTDOWN	"control/shutdown"
#define STATUS		"data/hetoci-exit-status"
#define REPLY_US	2000000
#define PRIORITY	20

/* struct xenstore_domain_interface */
struct interface {
	char request[1024];
	char reply[1024];
	uint32_t request_cons, request_prod;
	uint32_t reply_cons, reply_prod;
};

static struct ring requests, replies;
static uint64_t port;
static struct semaphore event, answered;
static struct mutex users;
static struct message_reader reader;
static struct message answer;
static uint32_t last_request;
static void (*on_shutdown)(void);
static struct semaphore shutdown_asked;

static void notified(void *context)
{
	(void)context;
	semaphore_give(&event);
}

static bool send(uint32_t type, const char *first, const char *second, bool terminated)
{
	char message[MESSAGE_BYTES];
	size_t length = message_make(message, sizeof(message), type, ++last_request, first, second,
				     terminated);

	/* One request at a time is under way, so the ring is empty. */
	if (!length || ring_put(&requests, message, length) != length)
		return false;
	xen_notify((uint32_t)port);
	return true;
}

/* Send a request and wait for its reply, which is in `answer`. False: error, or no reply in time. */
static bool ask(uint32_t type, const char *first, const char *second, bool terminated)
{
	uint64_t deadline = port_now() + time_from_us(REPLY_US, machine.timer_hz);

	if (!send(type, first, second, terminated))
		return false;
	do {
		if (!semaphore_take(&answered, deadline))
			return false;
	} while (answer.request != last_request);
	return answer.type == type;
}

/* Reads what comes: events for the watcher, everything else is a reply. */
static void reader_task(void *context)
{
	char byte;

	(void)context;
	for (;;) {
		while (ring_take(&replies, &byte, 1) == 1) {
			if (!message_feed(&reader, byte))
				continue;
			if (reader.message.type == XS_WATCH_EVENT) {
				semaphore_give(&shutdown_asked);
				continue;
			}
			answer = reader.message;
			semaphore_give(&answered);
		}
		xen_notify((uint32_t)port);
		semaphore_take(&event, SCHED_FOREVER);
	}
}

/* The watch also fires once when it is set, and when we acknowledge: both find it empty. */
static void watcher_task(void *context)
{
	(void)context;
	mutex_lock(&users);
	ask(XS_WATCH, SHUTDOWN, "shutdown", true);
	mutex_unlock(&users);
	for (;;) {
		bool asked;

		semaphore_take(&shutdown_asked, SCHED_FOREVER);
		mutex_lock(&users);
		asked = ask(XS_READ, SHUTDOWN, NULL, false) && answer.length > 0;
		if (asked)
			ask(XS_WRITE, SHUTDOWN, "", false);
		mutex_unlock(&users);
		if (asked)
			on_shutdown();
	}
}

void store_start(void (*asked)(void))
{
	struct interface *shared;
	uint64_t page;

	mutex_init(&users);
	if (!xen_param(HVM_PARAM_STORE_PFN, &page) || !xen_param(HVM_PARAM_STORE_EVTCHN, &port) ||
	    !mmu_map(page * MMU_PAGE, MMU_PAGE, MMU_MEMORY))
		return;
	shared = (struct interface *)(page * MMU_PAGE);
	requests = (struct ring){ shared->request, sizeof(shared->request), &shared->request_cons,
				  &shared->request_prod };
	replies = (struct ring){ shared->reply, sizeof(shared->reply), &shared->reply_cons,
				 &shared->reply_prod };
	on_shutdown = asked;
	semaphore_init(&event, 0, 1);
	semaphore_init(&answered, 0, 1);
	semaphore_init(&shutdown_asked, 0, 1);
	event_attach((uint32_t)port, notified, NULL);
	task_start("store", PRIORITY, reader_task, NULL);
	task_start("shutdown", PRIORITY, watcher_task, NULL);
}

void store_shutdown(uint32_t reason, uint32_t status)
{
	char text[11];

	format(text, sizeof(text), "%u", status);
	mutex_lock(&users);
	if (requests.size)
		ask(XS_WRITE, STATUS, text, false);
	console_flush();
	xen_shutdown(reason);
}
