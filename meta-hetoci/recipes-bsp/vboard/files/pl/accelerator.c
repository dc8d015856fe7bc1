/* SPDX-License-Identifier: MIT */
/* The common part of the accelerators, linked into each of them. */
#include "pl.h"

static void publish(const struct pl_accelerator *a, uint32_t slot)
{
	volatile uint32_t *regs = pl_regs(slot);

	regs[PL_REG_ID] = a->id;
	regs[PL_REG_VERSION] = a->version;
	regs[PL_REG_JOBS] = a->jobs;
	regs[PL_REG_WORK] = a->work;
	regs[PL_REG_SLOT] = slot;
	pl_barrier();
	regs[PL_REG_STATUS] = a->status;
}

void pl_accelerator_init(struct pl_accelerator *a, uint32_t slot)
{
	a->status = 0;
	a->jobs = 0;
	a->work = 0;
	publish(a, slot);
}

static uint32_t end_job(struct pl_accelerator *a, uint32_t slot, uint32_t error)
{
	volatile uint32_t *regs = pl_regs(slot);

	a->status = error ? PL_STATUS_ERROR | error << 8 : PL_STATUS_DONE;
	a->jobs++;
	/* Results before the word that announces them. */
	pl_barrier();
	publish(a, slot);
	return regs[PL_REG_CTRL] & PL_CTRL_IRQ_ENABLE ? PL_STEP_INTERRUPT : 0;
}

static uint32_t start_job(struct pl_accelerator *a, uint32_t slot)
{
	volatile uint32_t *regs = pl_regs(slot);
	uint32_t error;

	a->work = 0;
	a->status = PL_STATUS_BUSY;
	publish(a, slot);
	/* BUSY before START falls: who sees both at 0 knows that the job has ended. */
	pl_barrier();
	regs[PL_REG_CTRL] &= ~PL_CTRL_START;
	error = a->begin(slot, regs + PL_REG_OWN);
	return error ? end_job(a, slot, error) : 0;
}

uint32_t pl_accelerator_step(struct pl_accelerator *a, uint32_t slot)
{
	volatile uint32_t *regs = pl_regs(slot);

	if (a->status & PL_STATUS_BUSY) {
		if (a->advance(slot, regs + PL_REG_OWN, &a->work))
			return end_job(a, slot, 0);
		publish(a, slot);
		return 0;
	}
	if (regs[PL_REG_CTRL] & PL_CTRL_START)
		return start_job(a, slot);
	publish(a, slot);
	return 0;
}

uint32_t pl_dma(uint32_t slot, uint32_t address, uint32_t bytes, uint32_t align, void **memory)
{
	uint32_t base = VB_PL_DMA_BASE + slot * VB_PL_DMA_SIZE;
	uint32_t offset = address - base;

	if (address % align != 0 || address < base || offset > VB_PL_DMA_SIZE ||
	    (offset == VB_PL_DMA_SIZE && bytes != 0))
		return PL_ERROR_ADDRESS;
	if (bytes > VB_PL_DMA_SIZE - offset)
		return PL_ERROR_LENGTH;
	*memory = (void *)address;
	return 0;
}
