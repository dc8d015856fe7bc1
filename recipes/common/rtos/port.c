/* SPDX-License-Identifier: MIT */
#include <stddef.h>

#include "console.h"
#include "cpu.h"
#include "gic.h"
#include "machine.h"
#include "mmu.h"
#include "port.h"
#include "sched.h"
#include "task.h"
#include "trap.h"

#define DAIF_MASKED	0x3c0
#define PSTATE_EL1T	0x4		/* interrupts open */
#define CNTV_ENABLE	1
#define EC_SVC64	0x15
#define STACK_BYTES	4096

_Static_assert(offsetof(struct port_context, sp) == 248 && sizeof(struct port_context) == 272,
	       "vectors.S knows these");
_Static_assert(offsetof(struct task, context) == 0, "SP_EL1 points into the task");

/* The page below each stack is not mapped. */
struct stack {
	uint8_t guard[MMU_PAGE];
	uint8_t bytes[STACK_BYTES];
};

static struct stack stacks[TASKS_MAX] __attribute__((section(".stacks"), aligned(MMU_PAGE)));
static struct task tasks[TASKS_MAX];
static struct task idle;
static unsigned int used;

void port_resume(const struct port_context *context) __attribute__((noreturn));
struct port_context *trap_sync(struct port_context *context);
struct port_context *trap_irq(struct port_context *context);

unsigned long port_lock(void)
{
	unsigned long flags = read_sysreg(daif);

	__asm__ volatile("msr daifset, #2" : : : "memory");
	return flags;
}

void port_unlock(unsigned long flags)
{
	write_sysreg(daif, flags);
}

void port_switch(void)
{
	__asm__ volatile("svc #0" : : : "memory");
}

void port_switch_soon(void)
{
	if (!read_sysreg(spsel))
		port_switch();
}

uint64_t port_now(void)
{
	/* Not before what comes before it in the program. */
	isb();
	return read_sysreg(cntvct_el0);
}

void port_alarm(uint64_t time)
{
	/* Off before anything else: with the offset of a hypervisor the largest time overflows, and
	   QEMU before 8.2 then tries for ever to find out when an enabled timer fires. */
	if (time == SCHED_FOREVER) {
		write_sysreg(cntv_ctl_el0, 0);
		return;
	}
	/* Xen masks the timer when it fires, so the control register is written every time. */
	write_sysreg(cntv_cval_el0, time);
	write_sysreg(cntv_ctl_el0, CNTV_ENABLE);
}

struct port_context *trap_sync(struct port_context *context)
{
	if (read_sysreg(esr_el1) >> 26 != EC_SVC64)
		trap_fatal(context, TRAP_FROM_TASK);
	return &sched_next()->context;
}

struct port_context *trap_irq(struct port_context *context)
{
	(void)context;
	gic_dispatch();
	return &sched_next()->context;
}

static void timer_fired(void *context)
{
	(void)context;
	/* What is due is found by sched_next(), on the way out; until then the line is quiet. */
	write_sysreg(cntv_ctl_el0, 0);
}

static void begin_task(void (*function)(void *), void *context)
{
	function(context);
	task_exit();
}

static void prepare(struct task *task, struct stack *stack, void (*function)(void *), void *context)
{
	mmu_unmap_page((uintptr_t)stack->guard);
	task->context.x[0] = (uintptr_t)function;
	task->context.x[1] = (uintptr_t)context;
	task->context.sp = (uintptr_t)stack->bytes + sizeof(stack->bytes);
	task->context.pc = (uintptr_t)begin_task;
	task->context.pstate = PSTATE_EL1T;
}

void task_start(const char *name, unsigned int priority, void (*function)(void *), void *context)
{
	unsigned long flags = port_lock();

	if (used == TASKS_MAX)
		panic("no room for task %s: TASKS_MAX is %d", name, TASKS_MAX);
	prepare(&tasks[used], &stacks[used], function, context);
	sched_add(&tasks[used], name, priority);
	used++;
	port_unlock(flags);
}

static void idle_loop(void *context)
{
	(void)context;
	for (;;)
		wait_for_interrupt();
}

void tasks_begin(void (*first)(void *))
{
	prepare(&idle, &stacks[used++], idle_loop, NULL);
	sched_init(&idle, machine.timer_hz);
	irq_attach(machine.timer_irq, IRQ_LEVEL, timer_fired, NULL);
	task_start("main", 16, first, NULL);
	port_resume(&sched_next()->context);
}
