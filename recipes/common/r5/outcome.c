/* SPDX-License-Identifier: MIT */
#include <stdbool.h>
#include <stddef.h>

#include "barrier.h"
#include "format.h"
#include "outcome.h"
#include "trace.h"

#define READ_CP15(name, operands)						\
	static inline uint32_t read_##name(void)				\
	{									\
		uint32_t value;							\
		__asm__ volatile("mrc p15, 0, %0, " operands : "=r"(value));	\
		return value;							\
	}

/* ARM DDI 0406C, B6.1: fault status and address registers */
READ_CP15(dfsr, "c5, c0, 0")
READ_CP15(ifsr, "c5, c0, 1")
READ_CP15(dfar, "c6, c0, 0")
READ_CP15(ifar, "c6, c0, 2")

char outcome_record[OUTCOME_SIZE] __attribute__((aligned(8)));

static const char *const kind_names[] = {
	[R5_FAULT_UNDEFINED] = "undefined",
	[R5_FAULT_SVC] = "svc",
	[R5_FAULT_PREFETCH_ABORT] = "prefetch-abort",
	[R5_FAULT_DATA_ABORT] = "data-abort",
	[R5_FAULT_IRQ] = "irq",
	[R5_FAULT_FIQ] = "fiq",
};

void r5_halt(void)
{
	__asm__ volatile("cpsid aif");
	for (;;)
		__asm__ volatile("wfi");
}

/* The first byte goes last: a reader sees the whole line or nothing. */
static void record(const char *line, size_t length)
{
	volatile char *out = outcome_record;

	for (size_t i = 1; i < length; i++)
		out[i] = line[i];
	dmb();
	out[0] = line[0];
	dsb();
}

void r5_exit(int status)
{
	char line[OUTCOME_SIZE];

	record(line, format(line, sizeof(line), "exit %d\n", status));
	r5_halt();
}

void r5_fault(enum r5_fault_kind kind, uint32_t pc)
{
	static volatile bool again;
	char line[OUTCOME_SIZE];
	uint32_t addr = 0, status = 0;
	size_t length;

	/* A fault in what follows must not come back here for ever. */
	if (again)
		r5_halt();
	again = true;

	if (kind == R5_FAULT_DATA_ABORT) {
		addr = read_dfar();
		status = read_dfsr();
	} else if (kind == R5_FAULT_PREFETCH_ABORT) {
		addr = read_ifar();
		status = read_ifsr();
	}
	length = format(line, sizeof(line), "fault %s pc=0x%x addr=0x%x status=0x%x\n",
			kind_names[kind], (unsigned int)pc, (unsigned int)addr,
			(unsigned int)status);
	/* The record first: the log is a courtesy, and its state may be what broke. */
	record(line, length);
	trace_write(line, length);
	r5_halt();
}
