/* SPDX-License-Identifier: MIT */
/*
 * The process of a pod's own container: holds the pod's namespaces, and ends when it is told to.
 * As process 1 it gets no default action for signals, and every orphan of the pod as a child.
 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int number)
{
	(void)number;
	_exit(0);
}

static void reap(int number)
{
	int saved = errno;

	(void)number;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	errno = saved;
}

int main(void)
{
	struct sigaction ending = { .sa_handler = end };
	struct sigaction reaping = { .sa_handler = reap, .sa_flags = SA_NOCLDSTOP | SA_RESTART };

	if (sigaction(SIGTERM, &ending, NULL) || sigaction(SIGINT, &ending, NULL) ||
	    sigaction(SIGCHLD, &reaping, NULL)) {
		perror("pause: sigaction");
		return 1;
	}
	for (;;)
		pause();
}
