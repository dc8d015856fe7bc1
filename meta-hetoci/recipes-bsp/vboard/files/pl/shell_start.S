/* SPDX-License-Identifier: MIT */
/*
 * Entry, exception vectors and guarded calls of the shell, on a Cortex-R5 out of reset:
 * Supervisor mode, ARM state, interrupts masked, MPU and caches off (DDI 0460, 2.3).
 *
 * R5_0's vectors are at 0x0, so the shell takes its exceptions at the high vectors.
 */
#include "plctl.h"
#include "vboard.h"

#define SCTLR_V		(1 << 13)	/* high exception vectors */

	.arm
	.section .start, "ax"
	.globl	_start
_start:
	ldr	sp, =stack_top
	ldr	r0, =VB_PL_VECTORS_BASE
	adr	r1, vectors
	mov	r2, #16
1:	ldr	r3, [r1], #4
	str	r3, [r0], #4
	subs	r2, r2, #1
	bne	1b
	mov	r0, #0
	mcr	p15, 0, r0, c7, c5, 0	/* ICIALLU */
	dsb	sy
	mrc	p15, 0, r0, c1, c0, 0
	orr	r0, r0, #SCTLR_V
	mcr	p15, 0, r0, c1, c0, 0
	isb
	bl	shell_main
	b	.

/* Copied as they are: eight loads, each of the word 32 bytes further on. */
vectors:
	.rept	8
	ldr	pc, [pc, #24]
	.endr
	.word	_start			/* reset: never taken, reset goes to 0x0 */
	.word	undefined
	.word	supervisor_call
	.word	prefetch_abort
	.word	data_abort
	.word	unused
	.word	unused
	.word	unused

/* r0: kind (shell.h), r1: address of the instruction (DDI 0406C, table B1-7) */
undefined:
	mov	r0, #1
	sub	r1, lr, #4
	b	fault
supervisor_call:
	mov	r0, #2
	sub	r1, lr, #4
	b	fault
prefetch_abort:
	mov	r0, #3
	sub	r1, lr, #4
	b	fault
data_abort:
	mov	r0, #4
	sub	r1, lr, #8
	b	fault
unused:
	mov	r0, #5
	sub	r1, lr, #4
	/* Nothing the design left in the registers counts: its caller's frame is in guard. */
fault:
	cps	#0x13
	ldr	r2, =guard
	ldr	sp, [r2]
	cmp	sp, #0
	beq	.			/* a fault of the shell's own: EL3 will see it not answering */
	mov	r3, #0
	str	r3, [r2]
	pop	{r2}			/* struct pl_fault */
	str	r0, [r2]
	str	r1, [r2, #4]
	mov	r0, #0
	pop	{r4-r11, pc}

/*
 * uint32_t guarded_call(uint32_t (*f)(uint32_t), uint32_t argument, struct pl_fault *fault):
 * f(argument); if it takes an exception, 0 and *fault says which, and where.
 */
	.globl	guarded_call
guarded_call:
	push	{r4-r11, lr}
	push	{r2}
	ldr	r3, =guard
	str	sp, [r3]
	mov	r3, r0
	mov	r0, r1
	blx	r3
	ldr	r3, =guard
	mov	r1, #0
	str	r1, [r3]
	pop	{r2}
	str	r1, [r2]
	pop	{r4-r11, pc}
	.ltorg

	.bss
	.balign	8
guard:
	.skip	4
	.balign	8
	.skip	0x2000
stack_top:
