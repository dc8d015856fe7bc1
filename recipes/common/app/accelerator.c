/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "accelerator.h"
#include "app.h"
#include "devices.h"
#include "pl.h"

#define TIMEOUT_MS	20000

static volatile uint32_t *map(const struct accelerator *a, const struct device *device, int n)
{
	/* UIO: the offset tells which map, counted in pages. */
	void *mapped = mmap(NULL, device->window[n].size, PROT_READ | PROT_WRITE, MAP_SHARED,
			    a->file, n * sysconf(_SC_PAGESIZE));

	if (mapped == MAP_FAILED)
		app_fail("%s: window %d cannot be mapped: %s", device->path, n, strerror(errno));
	return mapped;
}

void accelerator_open(struct accelerator *a, const char *name, uint32_t id)
{
	struct device device;

	device_find("accelerator", name, &device);
	if (device.windows < 2)
		app_fail("%s has %zu windows, registers and memory are needed", device.path,
			 device.windows);
	a->name = name;
	a->file = open(device.path, O_RDWR | O_CLOEXEC);
	if (a->file < 0)
		app_fail("%s: %s", device.path, strerror(errno));
	a->registers = map(a, &device, 0);
	a->memory = map(a, &device, 1);
	a->bytes = device.window[1].size;
	a->address = (uint32_t)device.window[1].address;
	if (a->registers[PL_REG_ID] != id)
		app_fail("%s: the ID register is 0x%08x, right would be 0x%08x", device.path,
			 a->registers[PL_REG_ID], id);
	printf("%s: %s in %s, version %u.%u, %zu KiB of memory at 0x%08x\n", name, device.path,
	       device.place, a->registers[PL_REG_VERSION] >> 16,
	       a->registers[PL_REG_VERSION] & 0xffff, a->bytes >> 10, a->address);
}

/* Word by word: the memory is mapped as a device's, where memcpy may not be used. */
void accelerator_put(struct accelerator *a, size_t offset, const uint32_t *from, size_t bytes)
{
	for (size_t n = 0; n < (bytes + 3) / 4; n++)
		a->memory[offset / 4 + n] = from[n];
}

void accelerator_get(const struct accelerator *a, size_t offset, uint32_t *to, size_t bytes)
{
	for (size_t n = 0; n < (bytes + 3) / 4; n++)
		to[n] = a->memory[offset / 4 + n];
}

void accelerator_set(struct accelerator *a, unsigned int n, uint32_t value)
{
	a->registers[PL_REG_OWN + n] = value;
}

uint32_t accelerator_own(const struct accelerator *a, unsigned int n)
{
	return a->registers[PL_REG_OWN + n];
}

static void enable_interrupt(const struct accelerator *a)
{
	const uint32_t enable = 1;

	if (write(a->file, &enable, sizeof(enable)) != sizeof(enable))
		app_fail("%s: its interrupt cannot be enabled: %s", a->name, strerror(errno));
}

static void wait_interrupt(const struct accelerator *a, double deadline)
{
	struct pollfd waiting = { .fd = a->file, .events = POLLIN };
	double left = deadline - app_ms();
	uint32_t count;
	int ready = left > 0 ? poll(&waiting, 1, (int)left + 1) : 0;

	if (ready < 0 && errno == EINTR)
		return;
	if (ready <= 0)
		app_fail("%s: no interrupt within %d s; status 0x%x", a->name, TIMEOUT_MS / 1000,
			 a->registers[PL_REG_STATUS]);
	if (read(a->file, &count, sizeof(count)) != sizeof(count))
		app_fail("%s: the device is gone: %s", a->name, strerror(errno));
}

/* START falls after BUSY rose: the job has ended when both are 0, read in this order. */
static bool ended(const struct accelerator *a)
{
	return !(a->registers[PL_REG_CTRL] & PL_CTRL_START) &&
	       !(a->registers[PL_REG_STATUS] & PL_STATUS_BUSY);
}

double accelerator_run(struct accelerator *a)
{
	double begun = app_ms();
	uint32_t status;

	enable_interrupt(a);
	__sync_synchronize();
	a->registers[PL_REG_CTRL] = PL_CTRL_START | PL_CTRL_IRQ_ENABLE;
	for (wait_interrupt(a, begun + TIMEOUT_MS); !ended(a); wait_interrupt(a, begun + TIMEOUT_MS))
		enable_interrupt(a);
	__sync_synchronize();
	status = a->registers[PL_REG_STATUS];
	if (status != PL_STATUS_DONE)
		app_fail("%s: the job was refused with error %u (status 0x%x)", a->name,
			 PL_STATUS_CODE(status), status);
	return app_ms() - begun;
}
