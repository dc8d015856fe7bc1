/* SPDX-License-Identifier: MIT */
/* The full bitstream: the shell comes up, its slots empty and decoupled. */
#include "shell.h"
#include "test.h"

static bool all_dead(uint64_t base, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i += 4) {
		if (read32(base + i) != PL_DEAD)
			return false;
	}
	return true;
}

static bool slots_empty(void)
{
	for (uint32_t n = 0; n < VB_NUM_SLOTS; n++) {
		if (shell_reg(SHELL_REG_SLOT(n) + SHELL_SLOT_STATE) !=
		    (SHELL_STATE_EMPTY | SHELL_DECOUPLED))
			return false;
	}
	return true;
}

static bool decouplers_engaged(void)
{
	for (uint32_t n = 0; n < VB_NUM_SLOTS; n++) {
		if (read32(VB_DECOUPLER_BASE + n * VB_REGS_SIZE) != 1)
			return false;
	}
	return true;
}

static bool beating(void)
{
	uint32_t beat = shell_reg(SHELL_REG_BEAT);
	uint64_t end = now_ms() + PATIENCE_MS;

	while (shell_reg(SHELL_REG_BEAT) == beat) {
		if (now_ms() > end)
			return false;
	}
	return true;
}

static void empty_slot(void)
{
	couple(2);
	check(becomes(VB_SHELL_REGS_BASE + 4 * SHELL_REG_SLOT(2), ~0u, SHELL_STATE_EMPTY, PATIENCE_MS),
	      "a coupled slot without a design stays empty");
	set_reg(2, 7, 1);
	check(becomes(VB_SLOT_REGS_BASE + 2 * VB_REGS_SIZE + 28, ~0u, PL_DEAD, PATIENCE_MS),
	      "and its window dead");
	decouple(2);
}

void test_full(void)
{
	uint32_t out[3], vector = read32(VB_ATCM_BASE), good = 0;

	group("full");
	check(all_dead(VB_SLOT_REGS_BASE, VB_NUM_SLOTS * VB_REGS_SIZE), "without a shell the slots' windows are dead");
	check(all_dead(VB_SHELL_REGS_BASE, VB_REGS_SIZE), "and so are the shell's registers");
	check_equal(load_image(SHELL, FULL), 0, "the shell loads");
	check_equal(eemi(23, 0, 0, 0, 0, out), 0, "FPGA_GET_STATUS");
	check_equal(out[0], 0xf, "DONE is high");
	eemi(46, 7, 0, 0, 0, out);
	check_equal(out[0], 0x1078fc, "STAT: started, no error");
	check_equal(read32(VB_ATCM_BASE), vector, "R5_0's reset vector is untouched");
	check_equal(shell_reg(SHELL_REG_ID), PL_SHELL_ID, "the shell's id");
	check_equal(shell_reg(SHELL_REG_VERSION), PL_SHELL_VERSION, "the shell's version");
	check_equal(shell_reg(SHELL_REG_SLOTS), VB_NUM_SLOTS, "the number of slots");
	check(beating(), "the shell runs");
	check(decouplers_engaged(), "every decoupler is engaged");
	check(slots_empty(), "every slot is empty");
	empty_slot();
	for (uint32_t i = 0; i < 50; i++)
		good += load_image(SHELL, FULL) == 0 && slots_empty() && beating();
	check_equal(good, 50, "each of 50 immediate reloads takes effect");
}
