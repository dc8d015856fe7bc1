/* SPDX-License-Identifier: MIT */
#include <stdarg.h>

#include "console.h"
#include "cpu.h"
#include "format.h"
#include "machine.h"
#include "sched.h"
#include "trap.h"
#include "xen.h"

#define ESR_EC(esr)	((unsigned int)((esr) >> 26) & 0x3f)

static const char *const vectors[] = {
	"in a task", "interrupt", "fast interrupt", "system error in a task",
	"in a handler", "interrupt in a handler", "fast interrupt in a handler",
	"system error in a handler",
};

static const char *cause(unsigned int class)
{
	switch (class) {
	case 0x00: return "undefined instruction";
	case 0x0e: return "illegal execution state";
	case 0x15: return "supervisor call";
	case 0x16: return "hypercall that Xen does not know";
	case 0x21: return "instruction abort";
	case 0x22: return "misaligned pc";
	case 0x25: return "data abort";
	case 0x26: return "misaligned stack pointer";
	case 0x3c: return "breakpoint instruction";
	default: return "exception";
	}
}

static void crash(void) __attribute__((noreturn));
static void crash(void)
{
	console_flush();
	xen_shutdown(XEN_SHUTDOWN_CRASH);
}

/* A fault while one is reported must not begin again. */
static void once(void)
{
	static bool before;

	if (before)
		xen_shutdown(XEN_SHUTDOWN_CRASH);
	before = true;
}

void panic(const char *fmt, ...)
{
	char text[160];
	va_list args;

	port_lock();
	once();
	va_start(args, fmt);
	vformat(text, sizeof(text), fmt, args);
	va_end(args);
	console_panic("panic: %s\n", text);
	crash();
}

void trap_fatal(const struct port_context *context, unsigned long kind)
{
	uint64_t esr = read_sysreg(esr_el1);
	const struct task *task = sched_current();

	once();
	console_panic("fault: %s %s, task %s\n", cause(ESR_EC(esr)),
		      kind < 8 ? vectors[kind] : "from a lower level", task ? task->name : "none");
	console_panic("  pc 0x%lx (image + 0x%lx), address 0x%lx, syndrome 0x%lx\n",
		      (unsigned long)context->pc,
		      (unsigned long)(context->pc - (uintptr_t)&image_start),
		      (unsigned long)read_sysreg(far_el1), (unsigned long)esr);
	console_panic("  sp 0x%lx, state 0x%lx\n", (unsigned long)context->sp,
		      (unsigned long)context->pstate);
	for (unsigned int i = 0; i < 31; i++)
		console_panic("%sx%-2u %016lx%s", i % 4 ? "  " : "  ", i,
			      (unsigned long)context->x[i], i % 4 == 3 || i == 30 ? "\n" : "");
	crash();
}
