/* SPDX-License-Identifier: MIT */
/*
 * Reset, exception vectors and stacks of a Cortex-R5 firmware.
 *
 * The vectors are linked at device address 0x0 (LOVEC, ATCM), where
 * xlnx_r5_remoteproc starts the core; everything else is in the carve-out.
 * The core arrives in Supervisor mode, ARM state, MPU and caches off
 * (Cortex-R5 TRM, DDI 0460, 3.3 "Processor modes" and 8.1 "MPU").
 */

#define MODE_SYS	0x1f
#define SCTLR_V		(1 << 13)	/* vectors at 0xffff0000 */
#define SCTLR_TE	(1 << 30)	/* exceptions taken in Thumb state */
#define CPSR_MODE_MASK	0x1f

	.syntax unified
	.arm

	.section .vectors, "ax", %progbits
	.global vectors
vectors:
	ldr	pc, =reset
	ldr	pc, =undefined
	ldr	pc, =supervisor_call
	ldr	pc, =prefetch_abort
	ldr	pc, =data_abort
	b	.			/* not used by ARMv7-R */
	ldr	pc, =interrupt
	ldr	pc, =fast_interrupt
	.ltorg

	.text
reset:
	cpsid	if
	mrc	p15, 0, r0, c1, c0, 0
	bic	r0, r0, #SCTLR_V
	bic	r0, r0, #SCTLR_TE
	mcr	p15, 0, r0, c1, c0, 0
	isb
	/* main() runs in System mode, so that an SVC of its own keeps its registers. */
	cps	#MODE_SYS
	ldr	sp, =__stack_top

	ldr	r0, =__bss_start
	ldr	r1, =__bss_end
	mov	r2, #0
1:	cmp	r0, r1
	strlo	r2, [r0], #4
	blo	1b

	/* Imprecise external aborts are reported too. */
	cpsie	a
	bl	main
	b	r5_exit

/*
 * Every exception ends the firmware: load a stack of its own, hand kind and
 * address of the instruction to r5_fault(). The numbers are enum r5_fault_kind;
 * \back undoes what the architecture adds to the preferred return address
 * (ARM DDI 0406C, table B1-7).
 */
	.macro	fault name, kind, back
\name:
	ldr	sp, =__fault_stack_top
	mov	r0, #\kind
	sub	r1, lr, #\back
	b	r5_fault
	.endm

	fault	undefined, 0, 4
	fault	supervisor_call, 1, 4
	fault	prefetch_abort, 2, 4
	fault	data_abort, 3, 8
	fault	interrupt, 4, 4
	fault	fast_interrupt, 5, 4
	.ltorg
