// SPDX-License-Identifier: MIT
/* The file systems of the container, made in its own mount namespace. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent.h"

#define MOUNTS 256

bool mount_share(const char *tag, const char *where, const char *options)
{
	char data[128];

	snprintf(data, sizeof(data), "trans=xen,version=9p2000.L,access=client,%s", options);
	/* The front end connects a little after we have started, on a busy host many seconds after,
	 * and says so nowhere: half a minute. */
	for (int tries = 0; tries < 6000; tries++) {
		if (!mount(tag, where, "9p", 0, data))
			return true;
		if (errno != EINVAL && errno != ENOENT)
			return false;
		usleep(tries < 100 ? 1000 : 5000);
	}
	return false;
}

static bool make_parents(char *path)
{
	for (char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
		*at = 0;
		int failed = mkdir(path, 0755) && errno != EEXIST;
		*at = '/';
		if (failed)
			return false;
	}
	return true;
}

/* What a mount needs below it: a directory, or an empty file for a file. */
static bool make_target(char *path, bool directory)
{
	struct stat is;

	if (!stat(path, &is))
		return true;
	if (!make_parents(path))
		return false;
	if (directory)
		return !mkdir(path, 0755) || errno == EEXIST;
	int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	if (file >= 0)
		close(file);
	return file >= 0;
}

static bool bind_tree(int tree, char *target, unsigned long flags)
{
	struct stat is;

	if (tree < 0 || fstat(tree, &is) || !make_target(target, S_ISDIR(is.st_mode)))
		return false;
	if (move_mount(tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH))
		return false;
	close(tree);
	flags &= ~(unsigned long)(MS_BIND | MS_REC);
	return !flags || !mount(NULL, target, NULL, MS_REMOUNT | MS_BIND | flags, NULL);
}

static bool make_nodes(void)
{
	static const struct {
		const char *path;
		unsigned minor, major;
	} nodes[] = {{"/dev/null", 3, 1},   {"/dev/zero", 5, 1},    {"/dev/full", 7, 1},
		     {"/dev/random", 8, 1}, {"/dev/urandom", 9, 1}, {"/dev/tty", 0, 5}};
	static const char *const links[][2] = {{"/proc/self/fd", "/dev/fd"},
					       {"/proc/self/fd/0", "/dev/stdin"},
					       {"/proc/self/fd/1", "/dev/stdout"},
					       {"/proc/self/fd/2", "/dev/stderr"},
					       {"pts/ptmx", "/dev/ptmx"}};

	for (size_t n = 0; n < sizeof(nodes) / sizeof(*nodes); n++)
		if (mknod(nodes[n].path, S_IFCHR | 0666, makedev(nodes[n].major, nodes[n].minor)) &&
		    errno != EEXIST)
			return false;
	for (size_t n = 0; n < sizeof(links) / sizeof(*links); n++)
		if (symlink(links[n][0], links[n][1]) && errno != EEXIST)
			return false;
	return true;
}

static bool own_dev(void)
{
	struct stat dev, root;

	return !stat("/dev", &dev) && !stat("/", &root) && dev.st_dev != root.st_dev;
}

bool mounts_make(const struct items *items, const char **what)
{
	char **values = item_strings(items, 'm');
	char *field[MOUNTS][5];
	int trees[MOUNTS];
	unsigned count = 0;

	*what = "its mounts";
	for (; values && values[count]; count++) {
		if (count == MOUNTS) {
			errno = E2BIG;
			return false;
		}
		fields(values[count], field[count], 5);
		/* Sources are ours, and out of reach once / is the container's. */
		if (!strcmp(field[count][0], "bind"))
			trees[count] = open_tree(AT_FDCWD, field[count][1],
						 OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	}
	*what = "/";
	if (chdir("/root") || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
		return false;
	umask(0);
	for (unsigned n = 0; n < count; n++) {
		char **mnt = field[n];
		unsigned long flags = strtoul(mnt[3], NULL, 10);
		*what = mnt[2];
		if (!strcmp(mnt[0], "bind")) {
			if (!bind_tree(trees[n], mnt[2], flags))
				return false;
			continue;
		}
		if (!make_target(mnt[2], true) || mount(mnt[1], mnt[2], mnt[0], flags, mnt[4]))
			return false;
	}
	*what = "/dev";
	if (own_dev() && !make_nodes())
		return false;
	if (!devices_make(items, what))
		return false;
	*what = "/";
	umask(022);
	return !item(items, 'o', NULL) ||
	       !mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL);
}
