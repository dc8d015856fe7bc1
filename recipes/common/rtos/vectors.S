/* SPDX-License-Identifier: MIT */
/*
 * Exceptions. Tasks run at EL1 with SP_EL0. While one runs, SP_EL1 points behind the struct
 * port_context at the beginning of its struct task, so that entry saves the registers there, also
 * when the task's own stack has overflowed. Handlers have a stack of their own; an exception in one
 * is fatal and is reported on a third.
 */
#define CONTEXT		272
#define SP_PC		248	/* offset of sp; pc follows */
#define PSTATE		264

	.macro	save
	sub	sp, sp, #CONTEXT
	stp	x0, x1, [sp, #0]
	stp	x2, x3, [sp, #16]
	stp	x4, x5, [sp, #32]
	stp	x6, x7, [sp, #48]
	stp	x8, x9, [sp, #64]
	stp	x10, x11, [sp, #80]
	stp	x12, x13, [sp, #96]
	stp	x14, x15, [sp, #112]
	stp	x16, x17, [sp, #128]
	stp	x18, x19, [sp, #144]
	stp	x20, x21, [sp, #160]
	stp	x22, x23, [sp, #176]
	stp	x24, x25, [sp, #192]
	stp	x26, x27, [sp, #208]
	stp	x28, x29, [sp, #224]
	str	x30, [sp, #240]
	mrs	x1, elr_el1
	mrs	x2, spsr_el1
	str	x2, [sp, #PSTATE]
	.endm

	/* From a task: to a C function that returns the context to go on with. */
	.macro	from_task function
	.balign	128
	b	1f
	.pushsection .text
1:	save
	mrs	x0, sp_el0
	stp	x0, x1, [sp, #SP_PC]
	mov	x0, sp
	adrp	x1, __handler_stack_top
	add	x1, x1, :lo12:__handler_stack_top
	mov	sp, x1
	bl	\function
	b	port_resume
	.popsection
	.endm

	/* Anything else is a bug: never returns. The kind is the vector's number. */
	.macro	fatal kind
	.balign	128
	b	1f
	.pushsection .text
1:	msr	tpidr_el1, x0
	mov	x0, sp
	msr	tpidr_el0, x0
	adrp	x0, __fault_stack_top
	add	x0, x0, :lo12:__fault_stack_top
	mov	sp, x0
	mrs	x0, tpidr_el1
	save
	mrs	x0, tpidr_el0
	stp	x0, x1, [sp, #SP_PC]
	mov	x0, sp
	mov	x1, #\kind
	bl	trap_fatal
	.popsection
	.endm

	.text
	.balign	2048
	.global vectors
vectors:
	from_task trap_sync
	from_task trap_irq
	fatal	2
	fatal	3
	fatal	4
	fatal	5
	fatal	6
	fatal	7
	fatal	8
	fatal	9
	fatal	10
	fatal	11
	fatal	12
	fatal	13
	fatal	14
	fatal	15

	/* void port_resume(const struct port_context *): run the task whose context this is. */
	.global port_resume
port_resume:
	mov	sp, x0
	ldp	x0, x1, [sp, #SP_PC]
	ldr	x2, [sp, #PSTATE]
	msr	sp_el0, x0
	msr	elr_el1, x1
	msr	spsr_el1, x2
	ldp	x2, x3, [sp, #16]
	ldp	x4, x5, [sp, #32]
	ldp	x6, x7, [sp, #48]
	ldp	x8, x9, [sp, #64]
	ldp	x10, x11, [sp, #80]
	ldp	x12, x13, [sp, #96]
	ldp	x14, x15, [sp, #112]
	ldp	x16, x17, [sp, #128]
	ldp	x18, x19, [sp, #144]
	ldp	x20, x21, [sp, #160]
	ldp	x22, x23, [sp, #176]
	ldp	x24, x25, [sp, #192]
	ldp	x26, x27, [sp, #208]
	ldp	x28, x29, [sp, #224]
	ldr	x30, [sp, #240]
	ldp	x0, x1, [sp, #0]
	add	sp, sp, #CONTEXT
	eret

	/* long hypercall5(arguments..., number): Xen, public/arch-arm.h. */
	.global hypercall
hypercall:
	mov	x16, x5
	hvc	#0xea1
	ret
