// SPDX-License-Identifier: MIT
/* From a new process to the container's program. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent.h"

void child_fail(int report, const char *what, const char *which)
{
	dprintf(report, "%s %s: %s", what, which, strerror(errno));
	_exit(1);
}

static void send_descriptor(int report, int descriptor)
{
	char one = 0;
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec part = {&one, 1};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control.space,
				 .msg_controllen = sizeof(control.space)};

	control.head = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(&control.head), &descriptor, sizeof(int));
	if (sendmsg(report, &message, 0) < 0)
		child_fail(report, "cannot hand over", "the terminal");
}

static void take_terminal(const struct items *items, int report)
{
	char *size[2];
	int unlock = 0;
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock))
		child_fail(report, "cannot open", "/dev/ptmx, which a terminal needs");
	fields(strdup(item(items, 't', "")), size, 2);
	struct winsize window = {.ws_row = (unsigned short)atoi(size[0]),
				 .ws_col = (unsigned short)atoi(size[1])};
	ioctl(master, TIOCSWINSZ, &window);
	int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	if (slave < 0)
		child_fail(report, "cannot open", "the terminal");
	send_descriptor(report, master);
	if (fchown(slave, item_number(items, 'u', 0), (gid_t)-1))
		child_fail(report, "cannot give away", "the terminal");
	ioctl(slave, TIOCSCTTY, 0);
	for (int standard = 0; standard < 3; standard++)
		dup2(slave, standard);
	if (slave > 2)
		close(slave);
}

static void set_limits(const struct items *items, int report)
{
	char **limits = item_strings(items, 'r');

	for (; limits && *limits; limits++) {
		char *field[3];
		fields(*limits, field, 3);
		struct rlimit limit = {strtoull(field[1], NULL, 10), strtoull(field[2], NULL, 10)};
		if (setrlimit(atoi(field[0]), &limit))
			child_fail(report, "cannot set resource limit", field[0]);
	}
}

static void change_settings(const struct items *items, int report)
{
	char **settings = item_strings(items, 'k');

	for (; settings && *settings; settings++) {
		char *field[2];
		fields(*settings, field, 2);
		int file = open(field[0], O_WRONLY | O_CLOEXEC);
		if (file < 0 || write(file, field[1], strlen(field[1])) < 0)
			child_fail(report, "cannot write", field[0]);
		close(file);
	}
}

static uint64_t capabilities(const struct items *items, char key)
{
	return strtoull(item(items, key, "0"), NULL, 16);
}

static void drop_bounding(const struct items *items)
{
	uint64_t keep = capabilities(items, 'B');

	for (unsigned long cap = 0; cap < 64; cap++)
		if (!(keep >> cap & 1))
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); /* EINVAL beyond the last one */
}

static void set_capabilities(const struct items *items, int report)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];
	uint64_t effective = capabilities(items, 'E'), permitted = capabilities(items, 'P');
	uint64_t inheritable = capabilities(items, 'I'), ambient = capabilities(items, 'A');

	for (int half = 0; half < 2; half++)
		data[half] = (struct __user_cap_data_struct){
			.effective = (uint32_t)(effective >> 32 * half),
			.permitted = (uint32_t)(permitted >> 32 * half),
			.inheritable = (uint32_t)(inheritable >> 32 * half),
		};
	if (syscall(SYS_capset, &head, data))
		child_fail(report, "cannot set", "capabilities");
	for (unsigned long cap = 0; cap < 64; cap++)
		if (ambient >> cap & 1)
			prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
}

static void become_user(const struct items *items, int report)
{
	char **groups = item_strings(items, 'G');
	gid_t list[256];
	size_t count = 0;
	bool limited = item(items, 'P', NULL) != NULL;

	for (; groups && groups[count] && count < 256; count++)
		list[count] = (gid_t)strtoul(groups[count], NULL, 10);
	if (limited) {
		drop_bounding(items);
		prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
	}
	/* raw system calls: the C library's would look for other threads */
	if (setgroups(count, list) || syscall(SYS_setresgid, item_number(items, 'g', 0),
					      item_number(items, 'g', 0), item_number(items, 'g', 0)))
		child_fail(report, "cannot set", "the process's groups");
	uid_t user = item_number(items, 'u', 0);
	if (syscall(SYS_setresuid, user, user, user))
		child_fail(report, "cannot set", "the process's user");
	if (limited)
		set_capabilities(items, report);
	if (item(items, 'n', NULL))
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static void enter_directory(const struct items *items, int report)
{
	const char *where = item(items, 'w', "/");

	if (chdir(where) && errno == ENOENT) {
		char *path = strdup(where);
		for (char *at = path; path && (at = strchr(at + 1, '/'));) {
			*at = 0;
			mkdir(path, 0755);
			*at = '/';
		}
		mkdir(where, 0755);
	}
	if (chdir(where))
		child_fail(report, "cannot enter the working directory", where);
}

static _Noreturn void become_program(const struct items *items, int report)
{
	char **arguments = item_strings(items, 'a');
	char **environment = item_strings(items, 'e');
	const char *path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	int worst = ENOENT;

	for (char **at = environment; *at; at++)
		if (!strncmp(*at, "PATH=", 5))
			path = *at + 5;
	if (strchr(arguments[0], '/')) {
		execve(arguments[0], arguments, environment);
		child_fail(report, "cannot execute", arguments[0]);
	}
	for (const char *end; *path; path = *end ? end + 1 : end) {
		char file[4096];
		end = strchrnul(path, ':');
		snprintf(file, sizeof(file), "%.*s/%s", (int)(end - path), path, arguments[0]);
		execve(file, arguments, environment);
		if (errno != ENOENT && errno != ENOTDIR)
			worst = errno;
	}
	errno = worst;
	child_fail(report, worst == ENOENT ? "executable file not found in $PATH:" : "cannot execute",
		   arguments[0]);
}

static void make_console(int report)
{
	char name[64];
	ssize_t length = readlink("/proc/self/fd/0", name, sizeof(name) - 1);
	int file = open("/dev/console", O_CREAT | O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0600);

	if (file >= 0)
		close(file);
	if (length <= 0)
		return;
	name[length] = 0;
	if (mount(name, "/dev/console", NULL, MS_BIND, NULL) && errno != ENOENT)
		child_fail(report, "cannot make", "/dev/console");
}

void child_main(const struct items *items, const struct stdio *io, int report, int mount_namespace)
{
	const char *what;
	sigset_t none;

	sigemptyset(&none);
	setsid();
	if (mount_namespace >= 0) {
		if (setns(mount_namespace, CLONE_NEWNS))
			child_fail(report, "cannot join", "the container");
	} else if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		   !mounts_make(items, &what)) {
		child_fail(report, "cannot mount", what);
	}
	if (item(items, 't', NULL)) {
		take_terminal(items, report);
		if (mount_namespace < 0)
			make_console(report);
	} else {
		dup2(io->in, 0);
		dup2(io->out, 1);
		dup2(io->err, 2);
	}
	change_settings(items, report);
	set_limits(items, report);
	enter_directory(items, report);
	become_user(items, report);
	umask(item_number(items, 'M', 022));
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	become_program(items, report);
}
