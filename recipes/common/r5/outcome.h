/* SPDX-License-Identifier: MIT */
/*
 * How the firmware ended, in the second trace buffer (`hetoci-exit`, debugfs
 * remoteproc/remoteprocN/trace1). Empty while the firmware runs, then one line:
 *
 *   exit N
 *   fault KIND pc=0x... addr=0x... status=0x...
 *
 * KIND is one of undefined, svc, prefetch-abort, data-abort, irq, fiq. addr and
 * status are the fault address and fault status registers (DFAR and DFSR, IFAR
 * and IFSR) of the aborts, and 0 for the other kinds.
 */
#ifndef R5_OUTCOME_H
#define R5_OUTCOME_H

#include <stdint.h>

#define OUTCOME_SIZE	128	/* bytes; the last one is always NUL */

extern char outcome_record[OUTCOME_SIZE];

/* Order known to start.S. */
enum r5_fault_kind {
	R5_FAULT_UNDEFINED,
	R5_FAULT_SVC,
	R5_FAULT_PREFETCH_ABORT,
	R5_FAULT_DATA_ABORT,
	R5_FAULT_IRQ,
	R5_FAULT_FIQ,
};

/* Records `exit STATUS` and stops the core; also what follows main(). */
void r5_exit(int status) __attribute__((noreturn));

/* Records the fault, from an exception vector, and stops the core. */
void r5_fault(enum r5_fault_kind kind, uint32_t pc) __attribute__((noreturn));

/* Waits for ever without using the bus. */
void r5_halt(void) __attribute__((noreturn));

#endif
