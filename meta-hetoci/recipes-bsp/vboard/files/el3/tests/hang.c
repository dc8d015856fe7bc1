/* SPDX-License-Identifier: MIT */
/* A design for the tests: a step that never ends once CTRL is 1. */
#include "pl.h"

static void init(uint32_t slot)
{
	pl_regs(slot)[PL_REG_ID] = 0x474e4148;
}

static uint32_t step(uint32_t slot)
{
	if (pl_regs(slot)[PL_REG_CTRL] == 1) {
		pl_regs(slot)[PL_REG_WORK] = 1;
		for (;;)
			;
	}
	return 0;
}

PL_DESIGN(init, step);
