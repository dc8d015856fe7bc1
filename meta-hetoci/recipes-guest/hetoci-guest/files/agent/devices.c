// SPDX-License-Identifier: MIT
/* Devices of dom0's that were passed to this domain, and their files in the container. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent.h"

#define DEVICES "/sys/bus/platform/devices"
#define PASSED "/sys/firmware/devicetree/base/passthrough/"

static char list[WINDOW];
static size_t length;

/* The last part of the path that a link leads to; false if it does not lead below `where`. */
static bool last_part(const char *link, const char *where, char *part, size_t room)
{
	char path[PATH_MAX];

	if (!realpath(link, path) || strncmp(path, where, strlen(where)))
		return false;
	return (size_t)snprintf(part, room, "%s", strrchr(path, '/') + 1) < room;
}

/* One entry of the list: node, class, major, minor. */
static void note(const char *node, const char *class, const char *directory)
{
	char path[PATH_MAX + 8];
	unsigned major_number, minor_number;

	snprintf(path, sizeof(path), "%s/dev", directory);
	FILE *file = fopen(path, "re");
	if (!file)
		return;
	if (fscanf(file, "%u:%u", &major_number, &minor_number) == 2) {
		size_t room = sizeof(list) - length;
		int size = snprintf(list + length, room, "%s\1%s\1%u\1%u", node, class, major_number,
				    minor_number);
		if (size > 0 && (size_t)size < room)
			length += (size_t)size + 1;
	}
	fclose(file);
}

static void each(const char *directory, void (*visit)(const char *path, const char *node),
		 const char *node)
{
	DIR *entries = opendir(directory);
	char path[PATH_MAX];

	for (struct dirent *entry; entries && (entry = readdir(entries));)
		if (entry->d_name[0] != '.' && (size_t)snprintf(path, sizeof(path), "%s/%s", directory,
								entry->d_name) < sizeof(path))
			visit(path, node);
	if (entries)
		closedir(entries);
}

static void class_device(const char *path, const char *node)
{
	char link[PATH_MAX + 16], class[64];

	snprintf(link, sizeof(link), "%s/subsystem", path);
	if (last_part(link, "/sys/class/", class, sizeof(class)))
		note(node, class, path);
}

static void group(const char *path, const char *node)
{
	struct stat is;

	if (!lstat(path, &is) && S_ISDIR(is.st_mode))
		each(path, class_device, node);
}

static void device(const char *path, const char *unused)
{
	char link[PATH_MAX + 16], node[256];

	(void)unused;
	snprintf(link, sizeof(link), "%s/of_node", path);
	if (last_part(link, PASSED, node, sizeof(node)))
		each(path, group, node);
}

void devices_announce(void)
{
	mkdir("/sys", 0555);
	if (mount("sysfs", "/sys", "sysfs", 0, NULL))
		give_up("cannot mount /sys");
	if (access(PASSED, F_OK))
		return;
	each(DEVICES, device, NULL);
	if (length)
		link_send(DEVICES_FOUND, 0, 0, list, length);
}

bool devices_make(const struct items *items, const char **what)
{
	char **values = item_strings(items, 'D');

	for (; values && *values; values++) {
		char *field[5];
		fields(*values, field, 5);
		*what = "/dev/hetoci";
		if (mkdir("/dev/hetoci", 0755) && errno != EEXIST)
			return false;
		*what = field[0];
		dev_t number = makedev((unsigned)atoi(field[1]), (unsigned)atoi(field[2]));
		if (mknod(field[0], S_IFCHR | 0660, number) ||
		    lchown(field[0], (uid_t)strtoul(field[3], NULL, 10),
			   (gid_t)strtoul(field[4], NULL, 10)))
			return false;
	}
	return true;
}
