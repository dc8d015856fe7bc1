/* SPDX-License-Identifier: MIT */
/*
 * What a design in a slot and the shell agree on, and the register header that
 * every accelerator of ours has. docs/virtual-board.md, "Programmable logic".
 *
 * A design is one C program that runs in any slot: its slot is an argument. The shell
 * calls step() over and over, and the other slots' in between, so a step must be short
 * (well under a millisecond): long work goes on in the next step.
 */
#ifndef PL_H
#define PL_H

#include <stdint.h>

#include "vboard.h"

/* Identity of the shell; the silicon's tests build another one. */
#ifndef PL_SHELL_ID
#define PL_SHELL_ID		VB_PL_SHELL_ID
#endif
#define PL_SHELL_VERSION	0x00010000

/* Entry table of a design, at the program's ELF entry point. */
#define PL_DESIGN_MAGIC		0x474e5344	/* "DSGN" */
#define PL_DESIGN_ABI		1
#define PL_STEP_INTERRUPT	0x1		/* result of step(): raise the slot's interrupt once */

struct pl_design {
	uint32_t magic;
	uint32_t abi;
	/* The slot comes out of reset: its registers are zero, the design's own state is not. */
	void (*init)(uint32_t slot);
	uint32_t (*step)(uint32_t slot);
};

#define PL_DESIGN(init_function, step_function)					\
	const struct pl_design pl_design __attribute__((section(".design"), used)) = { \
		PL_DESIGN_MAGIC, PL_DESIGN_ABI, init_function, step_function	\
	}

/* What every word of a slot's window reads while it is empty or decoupled. */
#define PL_DEAD			0xdec0dead

/* Registers common to the accelerators: word indices into the slot's window. */
#define PL_REG_ID		0	/* RO, four characters */
#define PL_REG_VERSION		1	/* RO */
#define PL_REG_CTRL		2	/* RW */
#define PL_REG_STATUS		3	/* RO */
#define PL_REG_JOBS		4	/* RO, jobs ended since init, well or not */
#define PL_REG_WORK		5	/* RO, how far the present or last job has come */
#define PL_REG_SLOT		6	/* RO */
#define PL_REG_OWN		16	/* first register of the accelerator's own */

#define PL_CTRL_START		0x1	/* write 1 to start a job; reads 1 until it has begun */
#define PL_CTRL_IRQ_ENABLE	0x2	/* interrupt when a job ends */

#define PL_STATUS_BUSY		0x1
#define PL_STATUS_DONE		0x2	/* the last job ended well */
#define PL_STATUS_ERROR		0x4	/* the last job was refused; the code tells why */
#define PL_STATUS_CODE(status)	((status) >> 8 & 0xff)

#define PL_ERROR_ADDRESS	1	/* not aligned, or not in the slot's DMA memory */
#define PL_ERROR_LENGTH		2	/* reaches beyond the slot's DMA memory */

/* The rest is for designs; the tests at EL2 use the numbers above only. */
#ifdef __arm__

static inline volatile uint32_t *pl_regs(uint32_t slot)
{
	return (volatile uint32_t *)(VB_SLOT_REGS_BASE + slot * VB_REGS_SIZE);
}

static inline void pl_barrier(void)
{
	__asm__ volatile("dmb sy" ::: "memory");
}

/*
 * An accelerator with the common registers. The design provides the first part; what the
 * software above writes over a read-only register is put right at the next step.
 */
struct pl_accelerator {
	uint32_t id;
	uint32_t version;
	/* Checks the job's registers, prepares; 0 or a PL_ERROR_. */
	uint32_t (*begin)(uint32_t slot, volatile uint32_t *own);
	/* Does some of the job, tells in *work how far it is; true when finished. */
	uint32_t (*advance)(uint32_t slot, volatile uint32_t *own, uint32_t *work);

	uint32_t status;
	uint32_t jobs;
	uint32_t work;
};

void pl_accelerator_init(struct pl_accelerator *a, uint32_t slot);
uint32_t pl_accelerator_step(struct pl_accelerator *a, uint32_t slot);

/*
 * `bytes` of the slot's DMA memory at physical `address`: 0 and *memory, or the PL_ERROR_
 * if the address is no multiple of `align` or any of it lies elsewhere.
 */
uint32_t pl_dma(uint32_t slot, uint32_t address, uint32_t bytes, uint32_t align, void **memory);

#endif /* __arm__ */
#endif
