/* SPDX-License-Identifier: MIT */
/* Designs that misbehave: an exception costs the slot, an endless step the shell; EL3 lives on. */
#include "shell.h"
#include "test.h"

#define ID_FAULT	0x544c4146
#define ID_HANG		0x474e4148
#define TIMEOUT		2006

static uint64_t state_word(uint32_t slot)
{
	return VB_SHELL_REGS_BASE + 4 * SHELL_REG_SLOT(slot);
}

static bool neighbour_works(void)
{
	fill_dma(1, 4096, 11);
	start_sha256(1, DMA(1), 4096, 0, 0);
	return end_job(1) == PL_STATUS_DONE && sha256_right(1, DMA(1), 4096, 0);
}

static void fault(uint32_t kind, uint32_t address, const char *text)
{
	decouple(2);
	load_image(FAULT_2, PARTIAL);
	couple(2);
	check(has_id(2, ID_FAULT), "the design runs");
	set_reg(2, PL_REG_OWN, address);
	barrier();
	set_reg(2, PL_REG_CTRL, kind);
	check(becomes(state_word(2), ~0u, SHELL_STATE_FAULTED, PATIENCE_MS), text);
	check_equal(shell_reg(SHELL_REG_SLOT(2) + SHELL_SLOT_FAULT), kind, "its kind is reported");
	check_equal(reg(2, PL_REG_ID), PL_DEAD, "its window is dead");
	check(neighbour_works(), "the neighbour works on");
}

static bool fault_pc_in_slot(void)
{
	return (shell_reg(SHELL_REG_SLOT(2) + SHELL_SLOT_FAULT_PC) - VB_SLOT_CODE_BASE) / VB_SLOT_CODE_SIZE == 2;
}

static void jumps(void)
{
	static const uint32_t places[] = { 0, VB_EL3_BASE, VB_PL_DMA_BASE, VB_OCM_BASE, VB_KERNEL_BASE, 0xb0000000 };

	for (uint32_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		fault(3, places[i], "a jump out of the logic's programs");
		check_equal(shell_reg(SHELL_REG_SLOT(2) + SHELL_SLOT_FAULT_PC), places[i], "its address is reported");
	}
}

static void writes(void)
{
	static const uint32_t places[] = { 0, VB_EL3_BASE, VB_KERNEL_BASE, VB_RPROC_FW_BASE, VB_CRL_RST_CPU_R5,
					   VB_PL_VECTORS_BASE, VB_UART0_BASE, 0xb0000000 };

	for (uint32_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		uint32_t before = i < 4 ? read32(places[i]) : 0;

		fault(4, places[i], "a write out of the logic's memory");
		check(i >= 4 || read32(places[i]) == before, "it changed nothing there");
		check(fault_pc_in_slot(), "its address is reported");
	}
}

static void faults(void)
{
	fault(1, 0, "an undefined instruction costs the slot");
	check(fault_pc_in_slot(), "its address is reported");
	fault(2, 0, "so does a supervisor call");
	jumps();
	writes();
	decouple(2);
	check(becomes(state_word(2), ~0u, SHELL_STATE_ISOLATED | SHELL_DECOUPLED, PATIENCE_MS), "decoupling ends the fault");
	couple(2);
	check(has_id(2, ID_FAULT), "coupled again, the design runs again");
	check_equal(load_image(SHA256_1, PARTIAL), 2001, "the neighbour's slot, in use, can't be loaded");
}

static void hang(void)
{
	uint64_t start;

	decouple(2);
	load_image(HANG_2, PARTIAL);
	couple(2);
	check(has_id(2, ID_HANG), "a design that will hang runs");
	set_reg(2, PL_REG_CTRL, 1);
	check(becomes(VB_SLOT_REGS_BASE + 2 * VB_REGS_SIZE + 4 * PL_REG_WORK, ~0u, 1, PATIENCE_MS), "it hangs");
	decouple(0);
	start = now_ms();
	check_equal(load_image(VADD_0, PARTIAL), TIMEOUT, "a load then times out");
	check(now_ms() - start < 15000, "in bounded time");
	check_equal(load_image(SHELL, FULL), 0, "a full load brings the logic back");
	check_equal(load_image(VADD_0, PARTIAL), 0, "and slots load again");
	couple(0);
	check(has_id(0, ID_VADD), "and run");
}

static void bad_designs(void)
{
	struct bitstream_header *h = (void *)STAGE;
	uint32_t bytes = stage(VADD_0), out[3];

	decouple(0);
	h->entry += 4;
	reseal();
	check_equal(load(bytes, PARTIAL), 2000, "a design without an entry table is refused");
	check_equal(shell_reg(SHELL_REG_SLOT(0) + SHELL_SLOT_STATE), SHELL_STATE_EMPTY | SHELL_DECOUPLED,
		    "its slot is left empty");
	bytes = stage(SHELL);
	write32(STAGE + sizeof(*h), 0xeafffffe);	/* b . */
	reseal();
	check_equal(load(bytes, FULL), TIMEOUT, "a shell that does not come up times out");
	eemi(23, 0, 0, 0, 0, out);
	check_equal(out[0], 0x7, "DONE is low then");
	check_equal(reg(0, 0), PL_DEAD, "the windows are dead");
	check_equal(load_image(SHELL, FULL), 0, "a good shell still loads");
}

void test_faults(void)
{
	group("faults");
	check_equal(load_image(SHELL, FULL), 0, "the shell loads");
	check_equal(load_image(SHA256_1, PARTIAL), 0, "a neighbour loads");
	couple(1);
	check(has_id(1, ID_SHA256), "a neighbour runs");
	faults();
	hang();
	bad_designs();
}
