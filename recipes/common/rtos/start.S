/* SPDX-License-Identifier: MIT */
/*
 * arm64 Image header (Linux, Documentation/arch/arm64/booting.rst) and the way to boot().
 * Loaded anywhere at a multiple of 2 MiB, entered at EL1 with MMU and caches off, x0 = device tree.
 */
#define R_AARCH64_RELATIVE	1027
#define FLAGS			0xa	/* little endian, 4 KiB pages, anywhere in memory */

	.section .head, "ax"
	.global _start
_start:
	b	start
	.word	0
	.quad	0			/* text_offset */
	.quad	__image_end		/* with what the file does not hold; linked at 0 */
	.quad	FLAGS
	.quad	0
	.quad	0
	.quad	0
	.ascii	"ARM\x64"
	.word	0

	.text
start:
	msr	daifset, #0xf
	mov	x19, x0
	adr	x20, _start

	/* Linked at 0: add where we are to every pointer in the data. */
	adrp	x1, __rela_start
	add	x1, x1, :lo12:__rela_start
	adrp	x2, __rela_end
	add	x2, x2, :lo12:__rela_end
1:	cmp	x1, x2
	b.hs	3f
	ldp	x3, x4, [x1], #16
	ldr	x5, [x1], #8
	cmp	x4, #R_AARCH64_RELATIVE
	b.ne	2f
	add	x5, x5, x20
	str	x5, [x20, x3]
	b	1b
2:	/* The linker made what nobody can apply here; there is no console yet to say so. */
	wfi
	b	2b

3:	adrp	x1, __bss_start
	add	x1, x1, :lo12:__bss_start
	adrp	x2, __image_end
	add	x2, x2, :lo12:__image_end
4:	cmp	x1, x2
	b.hs	5f
	stp	xzr, xzr, [x1], #16
	b	4b

	/* What was written went to memory: forget older copies in the cache. */
5:	mrs	x3, ctr_el0
	ubfx	x3, x3, #16, #4
	mov	x4, #4
	lsl	x4, x4, x3
	mov	x1, x20
6:	dc	ivac, x1
	add	x1, x1, x4
	cmp	x1, x2
	b.lo	6b
	dsb	sy

	msr	spsel, #1
	adrp	x1, __handler_stack_top
	add	x1, x1, :lo12:__handler_stack_top
	mov	sp, x1
	adrp	x1, vectors
	add	x1, x1, :lo12:vectors
	msr	vbar_el1, x1
	isb
	mov	x0, x19
	bl	boot
7:	wfi
	b	7b
