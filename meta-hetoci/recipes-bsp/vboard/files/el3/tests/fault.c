/* SPDX-License-Identifier: MIT */
/*
 * A design for the tests: takes the exception that CTRL names (shell.h, SHELL_SLOT_FAULT).
 * Its first own register is the address to jump to or to write at.
 */
#include "pl.h"

static void init(uint32_t slot)
{
	pl_regs(slot)[PL_REG_ID] = 0x544c4146;
}

static uint32_t step(uint32_t slot)
{
	switch (pl_regs(slot)[PL_REG_CTRL]) {
	case 1:
		__asm__ volatile("udf #0");
		break;
	case 2:
		__asm__ volatile("svc #0");
		break;
	case 3:
		((void (*)(void))pl_regs(slot)[PL_REG_OWN])();
		break;
	case 4:
		*(volatile uint32_t *)pl_regs(slot)[PL_REG_OWN] = 0;
		break;
	}
	return 0;
}

PL_DESIGN(init, step);
