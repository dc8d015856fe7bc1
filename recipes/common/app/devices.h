/* SPDX-License-Identifier: MIT */
/* The description of the container's devices (docs/spec/devices.md, 3). */
#ifndef APP_DEVICES_H
#define APP_DEVICES_H

#include <stddef.h>
#include <stdint.h>

#define DEVICES_FILE	"/run/hetoci/devices.json"
#define MAX_WINDOWS	4

/* The main node of a device, and where the device is. */
struct device {
	char path[128];
	char place[128];	/* slot of an accelerator, core of an endpoint */
	size_t windows;
	struct {
		uint64_t address;	/* what the device's DMA has to be told */
		uint64_t size;
	} window[MAX_WINDOWS];
};

/* Describes the device `name` of kind "accelerator" or "endpoint"; ends the program if the
 * file does not have it. */
void device_find(const char *kind, const char *name, struct device *device);

#endif
