/* SPDX-License-Identifier: MIT */
/* Entry of the test payload: EL2, MMU off, interrupts masked, where Linux would begin. */
	.section .start, "ax"
	.globl	_start
_start:
	ldr	x0, =stack_top
	mov	sp, x0
	adr	x0, vectors
	msr	vbar_el2, x0
	isb
	bl	test_main
	b	.

	.balign	2048
vectors:
	.rept	16
	.balign	128
	b	1f
	.endr
1:	mrs	x0, esr_el2
	mrs	x1, elr_el2
	mrs	x2, far_el2
	bl	test_exception

/* void smc_raw(uint64_t x[8]): results replace x[0] to x[3] */
	.globl	smc_raw
smc_raw:
	stp	x29, x30, [sp, #-32]!
	str	x0, [sp, #16]
	mov	x9, x0
	ldp	x0, x1, [x9]
	ldp	x2, x3, [x9, #16]
	ldp	x4, x5, [x9, #32]
	ldp	x6, x7, [x9, #48]
	smc	#0
	ldr	x9, [sp, #16]
	stp	x0, x1, [x9]
	stp	x2, x3, [x9, #16]
	ldp	x29, x30, [sp], #32
	ret

/*
 * uint64_t smc_changes(uint64_t function): how many of x4-x17 and x18 the call changed
 * (SMCCC 1.1, 3.1: none).
 */
	.globl	smc_changes
smc_changes:
	.irp	n, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18
	mov	x\n, #(0x1000 + \n)
	.endr
	smc	#0
	mov	x0, #0
	.irp	n, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18
	sub	x1, x\n, #0x1000
	cmp	x1, #\n
	cinc	x0, x0, ne
	.endr
	ret

/* void semihosting_exit(uint64_t status) */
	.globl	semihosting_exit
semihosting_exit:
	adr	x1, exit_block
	str	x0, [x1, #8]
	mov	w0, #0x18
	hlt	#0xf000
	b	.
	.balign	8
exit_block:
	.quad	0x20026, 0

	.bss
	.balign	16
	.skip	0x4000
stack_top:

/* struct image images[]: see test.h; the order is that of enum image_id */
	.macro	image file
	.section .images, "a"
	.balign	8
	.quad	9001f, 9002f - 9001f
	.section .rodata
	.balign	8
9001:	.incbin	"\file"
9002:
	.endm

	.section .images, "a"
	.globl	images
images:
	image	"pl-shell.bit.bin"
	image	"other/pl-shell.bit.bin"
	image	"vadd-slot0.bit.bin"
	image	"vadd-slot1.bit.bin"
	image	"sha256-slot0.bit.bin"
	image	"sha256-slot1.bit.bin"
	image	"sha256-slot3.bit.bin"
	image	"fault-slot2.bit.bin"
	image	"hang-slot2.bit.bin"
	image	"r5_0.bin"
