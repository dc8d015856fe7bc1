/* SPDX-License-Identifier: MIT */
/*
 * Entry, exception vectors and the few instructions C has no words for.
 * Arm ARM (DDI 0487): D1.10 exception vectors, D17 system registers.
 */
#include "vboard.h"

#define SCR_NS		(1 << 0)
#define SCR_RES1	(3 << 4)
#define SCR_HCE		(1 << 8)
#define SCR_RW		(1 << 10)

#define ICC_SRE_ENABLE	0xf		/* SRE, DFB, DIB, Enable */
#define SCTLR_EL2_RES1	0x30c50830	/* MMU and caches off */
#define SPSR_EL2H_MASKED 0x3c9		/* EL2 with its own SP; D, A, I, F masked */

#define ICC_SRE_EL3	S3_6_C12_C12_5
#define ICC_SRE_EL2	S3_4_C12_C9_5
#define ICC_IGRPEN1_EL3	S3_6_C12_C12_7

#define FRAME		192		/* x0-x18, x29, x30, ELR, SPSR; a multiple of 16 */

	.section .start, "ax"
	.globl	_start
_start:
	adr	x0, vectors
	msr	vbar_el3, x0
	mov	x0, #(SCR_NS | SCR_RES1 | SCR_HCE | SCR_RW)
	msr	scr_el3, x0
	msr	cptr_el3, xzr
	mov	x0, #ICC_SRE_ENABLE
	msr	ICC_SRE_EL3, x0
	isb
	msr	ICC_SRE_EL2, x0
	isb

	ldr	x0, =stack_top
	mov	sp, x0
	bl	el3_init

	mov	x0, #1			/* non-secure group 1 */
	msr	ICC_IGRPEN1_EL3, x0
	isb
	ldr	x0, =SCTLR_EL2_RES1
	msr	sctlr_el2, x0
	mov	x0, #SPSR_EL2H_MASKED
	msr	spsr_el3, x0
	ldr	x0, =VB_KERNEL_BASE
	msr	elr_el3, x0
	ldr	x0, =VB_DTB_BASE	/* Linux, Documentation/arch/arm64/booting.rst */
	mov	x1, xzr
	mov	x2, xzr
	mov	x3, xzr
	isb
	eret

	.macro	vector target
	.balign	128
	b	\target
	.endm

	.balign	2048
vectors:
	.rept	4			/* current EL, SP_EL0 */
	vector	unexpected
	.endr
	vector	current_sync		/* current EL, SP_EL3 */
	.rept	3
	vector	unexpected
	.endr
	vector	lower_sync		/* lower EL, AArch64 */
	.rept	7
	vector	unexpected
	.endr

/* The only fault EL3 expects of itself is the one of probe_read(). */
current_sync:
	stp	x0, x1, [sp, #-16]!
	mrs	x0, elr_el3
	adr	x1, probe_load
	cmp	x0, x1
	b.ne	unexpected
	adr	x0, probe_failed
	msr	elr_el3, x0
	ldp	x0, x1, [sp], #16
	eret

/* SMCCC (DEN 0028): x4-x17 and the callee-saved registers reach the caller unchanged. */
lower_sync:
	sub	sp, sp, #FRAME
	stp	x0, x1, [sp]
	stp	x2, x3, [sp, #16]
	stp	x4, x5, [sp, #32]
	stp	x6, x7, [sp, #48]
	stp	x8, x9, [sp, #64]
	stp	x10, x11, [sp, #80]
	stp	x12, x13, [sp, #96]
	stp	x14, x15, [sp, #112]
	stp	x16, x17, [sp, #128]
	stp	x18, x29, [sp, #144]
	str	x30, [sp, #160]
	mrs	x1, elr_el3		/* a fault of probe_read() overwrites both */
	mrs	x2, spsr_el3
	stp	x1, x2, [sp, #168]
	mrs	x1, esr_el3
	lsr	x1, x1, #26
	cmp	x1, #0x17		/* exception class: SMC from AArch64 */
	b.ne	unexpected
	mov	x0, sp
	bl	smc_handler
	ldp	x1, x2, [sp, #168]
	msr	elr_el3, x1
	msr	spsr_el3, x2
	ldp	x0, x1, [sp]
	ldp	x2, x3, [sp, #16]
	ldp	x4, x5, [sp, #32]
	ldp	x6, x7, [sp, #48]
	ldp	x8, x9, [sp, #64]
	ldp	x10, x11, [sp, #80]
	ldp	x12, x13, [sp, #96]
	ldp	x14, x15, [sp, #112]
	ldp	x16, x17, [sp, #128]
	ldp	x18, x29, [sp, #144]
	ldr	x30, [sp, #160]
	add	sp, sp, #FRAME
	eret

unexpected:
	ldr	x0, =stack_top
	mov	sp, x0
	mrs	x0, esr_el3
	mrs	x1, elr_el3
	mrs	x2, far_el3
	b	el3_panic

/* bool probe_read(uint64_t address): whether a word can be read there. */
	.globl	probe_read
probe_read:
probe_load:
	ldr	w1, [x0]
	mov	w0, #1
	ret
probe_failed:
	mov	w0, #0
	ret

/*
 * void semihosting_exit(uint64_t status), does not return: ends the emulator.
 * Semihosting for AArch32 and AArch64 (Arm, 2.0), SYS_EXIT, ADP_Stopped_ApplicationExit.
 */
	.globl	semihosting_exit
semihosting_exit:
	ldr	x1, =exit_block
	str	x0, [x1, #8]
	mov	w0, #0x18
	hlt	#0xf000
	b	.

	.data
	.balign	8
exit_block:
	.quad	0x20026, 0

	.bss
	.balign	16
	.skip	0x2000
stack_top:

/* Code for the R5s (r5_stub.S), in reach of an A32 branch at address 0. */
	.section .rodata
	.balign	4
	.globl	r5_stub
r5_stub:
	.incbin	"r5_stub.bin"
