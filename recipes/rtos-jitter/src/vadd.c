/* SPDX-License-Identifier: MIT */
#include "console.h"
#include "cpu.h"
#include "gic.h"
#include "machine.h"
#include "mmu.h"
#include "task.h"
#include "time.h"
#include "vadd.h"

#define REG_ID		0x00
#define REG_CTRL	0x08
#define REG_STATUS	0x0c
#define REG_A		0x40
#define REG_B		0x44
#define REG_C		0x48
#define REG_COUNT	0x4c

#define ID		0x44444156u	/* "VADD" */
#define START		1u
#define IRQ_ENABLE	2u
#define BUSY		1u
#define DONE		2u

#define COUPLING_US	2000000u	/* a slot shows its design a moment after coupling */
#define JOB_US		10000000u
#define LONGEST		4096u		/* elements */

static struct device device;
static bool present;
static struct semaphore done;
static struct mutex users;
static uint32_t interrupts;
static uint32_t numbers = 1;

static uint32_t reg(uint32_t offset)
{
	return mmio_read32(device.reg[0].base + offset);
}

static void set_reg(uint32_t offset, uint32_t value)
{
	mmio_write32(device.reg[0].base + offset, value);
}

static void fired(void *context)
{
	(void)context;
	interrupts++;
	semaphore_give(&done);
}

static bool await_design(void)
{
	uint64_t end = port_now() + time_from_us(COUPLING_US, machine.timer_hz);

	while (reg(REG_ID) != ID) {
		if (port_now() > end)
			return false;
		task_sleep_until(port_now() + time_from_us(1000, machine.timer_hz));
	}
	return true;
}

void vadd_init(void)
{
	mutex_init(&users);
	semaphore_init(&done, 0, 1);
	if (!machine_device(&machine, "hetoci,vadd", &device))
		return;
	if (device.reg[0].size < REG_COUNT + 4 || device.reg[1].size < 12 * LONGEST || !device.irq) {
		console_printf("vadd: its node needs registers, %u bytes of DMA memory and an interrupt\n",
			       12 * LONGEST);
		return;
	}
	if (!mmu_map(device.reg[0].base, device.reg[0].size, MMU_DEVICE) ||
	    !mmu_map(device.reg[1].base, device.reg[1].size, MMU_DEVICE)) {
		console_printf("vadd: its addresses are too high\n");
		return;
	}
	if (!await_design()) {
		console_printf("vadd: no vadd at 0x%lx, but 0x%x\n",
			       (unsigned long)device.reg[0].base, reg(REG_ID));
		return;
	}
	irq_attach(device.irq, device.edge ? IRQ_EDGE : IRQ_LEVEL, fired, NULL);
	present = true;
	console_printf("vadd: at 0x%lx, interrupt %u, memory 0x%lx\n",
		       (unsigned long)device.reg[0].base, device.irq,
		       (unsigned long)device.reg[1].base);
}

/* Marsaglia's xorshift: any numbers will do. */
static uint32_t next_number(void)
{
	numbers ^= numbers << 13;
	numbers ^= numbers >> 17;
	numbers ^= numbers << 5;
	return numbers;
}

static const char *await_job(void)
{
	uint64_t deadline = port_now() + time_from_us(JOB_US, machine.timer_hz);
	uint32_t status;

	if (!semaphore_take(&done, deadline))
		return "no interrupt";
	if (reg(REG_CTRL) & START)
		return "an interrupt before the job";
	status = reg(REG_STATUS);
	return (status & (BUSY | DONE)) == DONE && status >> 8 == 0 ? NULL : "a bad status";
}

/* One job; returns what went wrong, or NULL. The memory is a device's: whole words only. */
static const char *run(uint32_t count)
{
	uintptr_t a = device.reg[1].base, b = a + 4 * LONGEST, c = b + 4 * LONGEST;
	const char *problem;

	for (uint32_t i = 0; i < count; i++) {
		mmio_write32(a + 4 * i, next_number());
		mmio_write32(b + 4 * i, next_number());
		mmio_write32(c + 4 * i, 0);
	}
	set_reg(REG_A, (uint32_t)a);
	set_reg(REG_B, (uint32_t)b);
	set_reg(REG_C, (uint32_t)c);
	set_reg(REG_COUNT, count);
	dsb();
	set_reg(REG_CTRL, START | IRQ_ENABLE);
	problem = await_job();
	if (problem)
		return problem;
	for (uint32_t i = 0; i < count; i++) {
		if (mmio_read32(c + 4 * i) != mmio_read32(a + 4 * i) + mmio_read32(b + 4 * i))
			return "a wrong sum";
	}
	return NULL;
}

bool vadd_run(uint32_t jobs)
{
	const char *problem = NULL;
	uint64_t elements = 0, began = port_now();
	uint32_t before, job;

	if (!present) {
		console_printf("vadd: the domain has none\n");
		return false;
	}
	mutex_lock(&users);
	before = interrupts;
	for (job = 0; job < jobs && !problem; job++) {
		uint32_t count = 1 + next_number() % LONGEST;

		problem = run(count);
		elements += count;
	}
	if (problem)
		console_printf("vadd: job %u: %s, status 0x%x\n", job, problem, reg(REG_STATUS));
	else
		console_printf("vadd: %u jobs, %lu elements, %u interrupts, every sum right, %lu us\n",
			       jobs, (unsigned long)elements, interrupts - before,
			       (unsigned long)(time_to_ns(port_now() - began, machine.timer_hz) / 1000));
	mutex_unlock(&users);
	return !problem;
}
