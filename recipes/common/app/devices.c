/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "devices.h"
#include "json.h"

#define LARGEST	(1 << 20)

static const char *read_file(void)
{
	FILE *file = fopen(app_devices, "r");
	char *text = malloc(LARGEST + 1);
	size_t length;

	if (!file)
		app_fail("%s: %s; does this container run under hetoci?", app_devices, strerror(errno));
	if (!text)
		app_fail("no memory for %s", app_devices);
	length = fread(text, 1, LARGEST, file);
	if (ferror(file) || !feof(file))
		app_fail("%s cannot be read, or has more than %d bytes", app_devices, LARGEST);
	text[length] = '\0';
	fclose(file);
	return text;
}

static bool is(const char *value, const char *wanted)
{
	char text[64];

	return json_string(value, text, sizeof(text)) && strcmp(text, wanted) == 0;
}

static bool address(const char *value, uint64_t *number)
{
	char text[32], *end;

	if (!json_string(value, text, sizeof(text)) || strncmp(text, "0x", 2) != 0)
		return false;
	*number = strtoull(text, &end, 16);
	return *end == '\0';
}

static void read_windows(const char *windows, struct device *device)
{
	const char *window;

	for (size_t n = 0; n < MAX_WINDOWS && (window = json_item(windows, n)); n++) {
		if (!address(json_member(window, "address"), &device->window[n].address) ||
		    !json_number(json_member(window, "size"), &device->window[n].size))
			app_fail("%s: window %zu of %s lacks address or size", app_devices, n,
				 device->path);
		device->windows = n + 1;
	}
}

void device_find(const char *kind, const char *name, struct device *device)
{
	const char *text = read_file();
	const char *devices = json_member(json_document(text), "devices");
	const char *found, *node;

	for (size_t n = 0; (found = json_item(devices, n)); n++)
		if (is(json_member(found, "name"), name) && is(json_member(found, "kind"), kind))
			break;
	if (!found)
		app_fail("%s has no %s %s", app_devices, kind, name);
	memset(device, 0, sizeof(*device));
	node = json_item(json_member(found, "nodes"), 0);
	if (!json_string(json_member(node, "path"), device->path, sizeof(device->path)))
		app_fail("%s: %s %s has no device file", app_devices, kind, name);
	if (!json_string(json_member(found, "slot"), device->place, sizeof(device->place)))
		json_string(json_member(found, "core"), device->place, sizeof(device->place));
	read_windows(json_member(node, "windows"), device);
	free((void *)text);
}
