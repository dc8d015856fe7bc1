/* SPDX-License-Identifier: MIT */
/*
 * First code of an R5 core: tells EL3 that the core runs, waits to be sent on.
 * Position independent; uses r0-r3 only, whose reset values are undefined anyway.
 */
#include "vboard.h"
#include "plctl.h"

	.arm
	.globl	_start
_start:
	ldr	r0, =VB_EL3_SHELL_BASE
wait:
	yield
	ldr	r1, [r0, #PLCTL_PING]
	str	r1, [r0, #PLCTL_ECHO]
	ldr	r2, [r0, #PLCTL_GO]
	cmp	r2, #1
	bne	wait
	dmb	sy
	ldr	r3, [r0, #PLCTL_GO_ADDR]
	mvn	r1, #0			/* PLCTL_GONE */
	str	r1, [r0, #PLCTL_ECHO]
	mov	r1, #0
	mcr	p15, 0, r1, c7, c5, 0	/* ICIALLU: EL3 has just written the code at r3 */
	dsb	sy
	isb
	bx	r3
	.ltorg
