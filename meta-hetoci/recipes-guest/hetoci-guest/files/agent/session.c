// SPDX-License-Identifier: MIT
/* The programs that run: number 0 is the container's, the others came by exec. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"

enum { IN, OUT, ERR, STREAMS };

struct session {
	bool used, exited, terminal, input_over;
	pid_t pid;
	int status;
	int fd[STREAMS];
	uint32_t credit[STREAMS];
	char *input; /* WINDOW bytes */
	size_t input_has;
};

static struct session sessions[SESSIONS];
static int mount_namespace = -1;
static bool over; /* the container's own program has ended */

static struct session *find(unsigned id)
{
	return id < SESSIONS && sessions[id].used ? &sessions[id] : NULL;
}

static unsigned number(const struct session *session)
{
	return (unsigned)(session - sessions);
}

static void fail(unsigned id, const char *text)
{
	link_send(FAILED, id, 0, text, strlen(text));
}

static void shut(int *descriptor)
{
	if (*descriptor >= 0)
		close(*descriptor);
	*descriptor = -1;
}

static void forget(struct session *session)
{
	for (int stream = 0; stream < STREAMS; stream++)
		if (stream != ERR || !session->terminal)
			shut(&session->fd[stream]);
	free(session->input);
	*session = (struct session){0};
}

/* What the child says before it is the program: nothing, or why it is not; and its terminal. */
static ssize_t hear(int report, char *text, size_t size, int *terminal)
{
	ssize_t has = 0;

	for (;;) {
		union {
			struct cmsghdr head;
			char space[CMSG_SPACE(sizeof(int))];
		} control;
		struct iovec part = {text + has, size - (size_t)has - 1};
		struct msghdr message = {.msg_iov = &part,
					 .msg_iovlen = 1,
					 .msg_control = control.space,
					 .msg_controllen = sizeof(control.space)};
		ssize_t got = recvmsg(report, &message, MSG_CMSG_CLOEXEC);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		if (CMSG_FIRSTHDR(&message))
			memcpy(terminal, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
		else
			has += got;
	}
	text[has] = 0;
	return has;
}

static void join_processes(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", pid);
	mount_namespace = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/ns/pid", pid);
	int processes = open(path, O_RDONLY | O_CLOEXEC);
	/* from now on our children are the container's processes */
	if (mount_namespace < 0 || processes < 0 || setns(processes, CLONE_NEWPID))
		give_up("cannot keep the container's namespaces");
	close(processes);
}

static pid_t begin(unsigned id)
{
	if (id)
		return fork();
	return (pid_t)syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0);
}

static bool launch(struct session *session, const struct items *items)
{
	int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1}, report[2];
	char text[1024];
	unsigned id = number(session);
	int terminal = -1;

	session->terminal = item(items, 't', NULL) != NULL;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, report) ||
	    (!session->terminal &&
	     (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))))
		give_up("out of descriptors");
	session->pid = begin(id);
	if (session->pid == 0)
		child_main(items, &(struct stdio){in[0], out[1], err[1]}, report[1],
			   id ? mount_namespace : -1);
	shut(&report[1]);
	shut(&in[0]);
	shut(&out[1]);
	shut(&err[1]);
	snprintf(text, sizeof(text), "cannot make a process: %s", strerror(errno));
	bool failed = session->pid < 0 || hear(report[0], text, sizeof(text), &terminal) > 0;
	shut(&report[0]);
	session->fd[IN] = session->terminal ? terminal : in[1];
	session->fd[OUT] = session->terminal ? dup(terminal) : out[0];
	session->fd[ERR] = session->terminal ? -1 : err[0];
	if (failed) {
		if (session->pid > 0)
			waitpid(session->pid, NULL, 0);
		fail(id, text);
		return false;
	}
	for (int stream = 0; stream < STREAMS; stream++)
		if (session->fd[stream] >= 0)
			fcntl(session->fd[stream], F_SETFL, O_NONBLOCK);
	if (!id)
		join_processes(session->pid);
	return true;
}

void session_run(unsigned id, char *payload, size_t size)
{
	struct items items;

	if (id >= SESSIONS || sessions[id].used || (id && (mount_namespace < 0 || over))) {
		fail(id, "the container does not take another process");
		return;
	}
	struct session *session = &sessions[id];
	*session = (struct session){
		.used = true, .fd = {-1, -1, -1}, .credit = {0, WINDOW, WINDOW}, .input = malloc(WINDOW)};
	if (!session->input || !items_parse(&items, payload, size) || !item(&items, 'a', NULL))
		give_up("a request cannot be understood");
	if (launch(session, &items))
		link_send(STARTED, id, 0, NULL, 0);
	else
		forget(session);
	free(items.list);
}

/* Input */

static void feed(struct session *session)
{
	uint32_t done = 0;

	while (session->input_has && session->fd[IN] >= 0) {
		ssize_t wrote = write(session->fd[IN], session->input, session->input_has);
		if (wrote < 0 && errno == EAGAIN)
			break;
		if (wrote < 0) { /* the program does not read any more */
			wrote = (ssize_t)session->input_has;
			shut(&session->fd[IN]);
		}
		session->input_has -= (size_t)wrote;
		memmove(session->input, session->input + wrote, session->input_has);
		done += (uint32_t)wrote;
	}
	if (done)
		link_send(CREDIT, number(session), IN, &done, sizeof(done));
	if (session->input_over && !session->input_has && !session->terminal)
		shut(&session->fd[IN]);
}

void session_input(unsigned id, const char *data, size_t size)
{
	struct session *session = find(id);

	if (!session)
		return;
	if (size > WINDOW - session->input_has)
		give_up("more input than was allowed");
	memcpy(session->input + session->input_has, data, size);
	session->input_has += size;
	if (!size)
		session->input_over = true;
	if (session->fd[IN] < 0) { /* nobody reads: take it and forget it */
		uint32_t done = (uint32_t)session->input_has;
		session->input_has = 0;
		if (done)
			link_send(CREDIT, id, IN, &done, sizeof(done));
		return;
	}
	feed(session);
}

/* Output */

void session_credit(unsigned id, unsigned stream, uint32_t more)
{
	struct session *session = find(id);

	if (session && (stream == OUT || stream == ERR))
		session->credit[stream] += more;
}

/* Pass on what is there. */
static void drain(struct session *session, int stream)
{
	char data[16384];

	while (session->fd[stream] >= 0 && session->credit[stream]) {
		size_t most = session->credit[stream] < sizeof(data) ? session->credit[stream]
								      : sizeof(data);
		ssize_t got = read(session->fd[stream], data, most);
		if (got < 0 && errno == EAGAIN)
			return;
		if (got <= 0) { /* EIO: a terminal that nobody has open any more */
			shut(&session->fd[stream]);
			link_send(DATA, number(session), (unsigned)stream, NULL, 0);
			return;
		}
		session->credit[stream] -= (uint32_t)got;
		link_send(DATA, number(session), (unsigned)stream, data, (size_t)got);
	}
}

static bool holds(const struct session *session, int stream)
{
	int bytes = 0;

	if (session->fd[stream] < 0)
		return false;
	return !ioctl(session->fd[stream], FIONREAD, &bytes) && bytes > 0;
}

/* The program is gone: when all it said has been passed on, say how it ended. */
static void conclude(struct session *session)
{
	unsigned id = number(session);
	uint32_t code = WIFSIGNALED(session->status) ? 128u + (unsigned)WTERMSIG(session->status)
						     : (unsigned)WEXITSTATUS(session->status);

	drain(session, OUT);
	drain(session, ERR);
	if (holds(session, OUT) || holds(session, ERR))
		return; /* until dom0 takes more */
	if (!id) {
		over = true;
		sync(); /* what it wrote is in the container's layer now */
	}
	link_send(EXITED, id, 0, &code, sizeof(code));
	forget(session);
}

/* Control */

void session_signal(unsigned id, int signal_number)
{
	struct session *session = find(id);

	if (session && !session->exited)
		kill(session->pid, signal_number);
}

void session_resize(unsigned id, unsigned rows, unsigned columns)
{
	struct session *session = find(id);
	struct winsize window = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};

	if (session && session->terminal)
		ioctl(session->fd[OUT], TIOCSWINSZ, &window);
}

void sessions_reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (struct session *at = sessions; at < sessions + SESSIONS; at++)
			if (at->used && at->pid == pid) {
				at->exited = true;
				at->status = status;
			}
}

void sessions_poll(int ring, int signals)
{
	struct pollfd wait[2 + STREAMS * SESSIONS] = {{ring, POLLIN, 0}, {signals, POLLIN, 0}};
	struct session *owner[2 + STREAMS * SESSIONS];
	int stream[2 + STREAMS * SESSIONS];
	nfds_t count = 2;

	/* The others first: number 0 ends last, with all its processes gone. */
	for (struct session *at = sessions + SESSIONS - 1; at >= sessions; at--)
		if (at->used && at->exited)
			conclude(at);
	for (struct session *at = sessions; at < sessions + SESSIONS; at++)
		for (int which = 0; at->used && which < STREAMS; which++) {
			bool wanted = which == IN ? at->input_has > 0
						  : at->credit[which] > 0 && !link_congested();
			if (at->fd[which] < 0 || !wanted)
				continue;
			wait[count] = (struct pollfd){at->fd[which], which == IN ? POLLOUT : POLLIN, 0};
			owner[count] = at;
			stream[count++] = which;
		}
	if (poll(wait, count, -1) < 0)
		return;
	for (nfds_t n = 2; n < count; n++) {
		if (!wait[n].revents)
			continue;
		if (stream[n] == IN)
			feed(owner[n]);
		else
			drain(owner[n], stream[n]);
	}
	if (wait[0].revents)
		ring_event();
	if (wait[1].revents)
		sessions_reap();
}
