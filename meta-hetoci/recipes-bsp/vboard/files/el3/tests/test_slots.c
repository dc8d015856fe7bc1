/* SPDX-License-Identifier: MIT */
/* Slots beside each other: isolation, two accelerators at once, exchange under load. */
#include "shell.h"
#include "test.h"

#define SIZE	VB_PL_DMA_SIZE

static uint64_t state_word(uint32_t slot)
{
	return VB_SHELL_REGS_BASE + 4 * SHELL_REG_SLOT(slot);
}

static bool window_dead(uint32_t slot)
{
	for (uint32_t i = 0; i < VB_REGS_SIZE / 4; i++) {
		if (reg(slot, i) != PL_DEAD)
			return false;
	}
	return true;
}

static void isolation(void)
{
	uint64_t window = VB_SLOT_REGS_BASE;

	decouple(0);
	check(becomes(state_word(0), ~0u, SHELL_STATE_ISOLATED | SHELL_DECOUPLED, PATIENCE_MS), "a decoupled slot is isolated");
	check(window_dead(0), "its whole window is dead");
	set_reg(0, PL_REG_OWN, DMA(0));
	start_vadd(0, DMA(0), DMA(0), DMA(0) + 0x1000, 16, PL_CTRL_IRQ_ENABLE);
	check(becomes(window + 4 * PL_REG_CTRL, ~0u, PL_DEAD, PATIENCE_MS), "what is written there is lost");
	check(gic_take(20) == -1, "and starts nothing");
	check_equal(read32(DMA(0) + 0x1000), 0x5eed, "nothing was computed");
	couple(0);
	check(has_id(0, ID_VADD), "coupled again, the design starts anew");
	check_equal(reg(0, PL_REG_JOBS), 0, "without memory of earlier jobs");
	check_equal(reg(0, PL_REG_OWN), 0, "and with clear registers");
}

/*
 * What happens at the same time depends on when the host runs the two cores' threads, so a
 * test that needs two things to overlap gets several attempts.
 */
#define ATTEMPTS	20

/* Decouples slot 1 in the middle of a job; false if the job was faster. */
static bool cut_off_once(void)
{
	uint32_t result = DMA(1) + SIZE - 32, untouched;

	fill_dma(1, SIZE, 7);
	untouched = read32(result);
	start_sha256(1, DMA(1), SIZE - 64, result, PL_CTRL_IRQ_ENABLE);
	becomes(VB_SLOT_REGS_BASE + VB_REGS_SIZE + 4 * PL_REG_STATUS, PL_STATUS_BUSY, PL_STATUS_BUSY, PATIENCE_MS);
	decouple(1);
	check(becomes(state_word(1), ~0u, SHELL_STATE_ISOLATED | SHELL_DECOUPLED, PATIENCE_MS), "slot 1 is decoupled");
	if (read32(result) != untouched) {
		gic_take(PATIENCE_MS);
		return false;
	}
	check(gic_take(50) == -1, "the interrupt of a job that was cut off never comes");
	check_equal(read32(result), untouched, "nor its result");
	return true;
}

static void cut_off(void)
{
	bool cut = false;

	for (uint32_t i = 0; i < ATTEMPTS && !cut; i++) {
		cut = cut_off_once();
		couple(1);
		has_id(1, ID_SHA256);
	}
	check(cut, "a decoupler cuts a job off");
}

static bool hash_under_way(void)
{
	return (reg(1, PL_REG_STATUS) & PL_STATUS_BUSY) && reg(1, PL_REG_WORK) > 0;
}

/* Both accelerators at work; false if the hash had not begun, or was done, when the sum was. */
static bool side_by_side_once(void)
{
	uint32_t count = 87381, a = DMA(0), b = a + 4 * count, c = b + 4 * count;
	bool overlapped;

	fill_dma(0, SIZE, 1);
	fill_dma(1, SIZE, 2);
	start_sha256(1, DMA(1), SIZE, 0, 0);
	start_vadd(0, a, b, c, count, 0);
	check_equal(end_job(0), PL_STATUS_DONE, "the adder ends");
	overlapped = hash_under_way();
	check_equal(end_job(1), PL_STATUS_DONE, "the hash ends");
	check(vadd_right(a, b, c, count), "the sums are right");
	check(sha256_right(1, DMA(1), SIZE, 0), "the digest is right");
	return overlapped;
}

/* Loads slot 0 while slot 1 hashes; false if the hash was done before. */
static bool exchange_once(enum image_id image, uint32_t id)
{
	uint32_t jobs = reg(1, PL_REG_JOBS);
	bool overlapped;

	fill_dma(1, SIZE, 3);
	start_sha256(1, DMA(1), SIZE, 0, 0);
	decouple(0);
	check_equal(load_image(image, PARTIAL), 0, "a design loads beside a neighbour at work");
	couple(0);
	check(has_id(0, id), "slot 0 holds that accelerator now");
	overlapped = hash_under_way();
	check_equal(end_job(1), PL_STATUS_DONE, "the neighbour ends its job");
	check_equal(reg(1, PL_REG_JOBS), jobs + 1, "which it has not begun anew");
	check(sha256_right(1, DMA(1), SIZE, 0), "its digest is right");
	return overlapped;
}

static void overlaps(void)
{
	bool beside = false, exchanged = false;

	for (uint32_t i = 0; i < ATTEMPTS && !beside; i++)
		beside = side_by_side_once();
	check(beside, "the hash was under way when the adder ended");
	for (uint32_t i = 0; i < ATTEMPTS && !exchanged; i++) {
		exchange_once(VADD_0, ID_VADD);
		exchanged = exchange_once(SHA256_0, ID_SHA256);
	}
	check(exchanged, "the neighbour was at work before and after an exchange");
	start_sha256(0, DMA(1), 64, 0, 0);
	check_equal(end_job(0), PL_STATUS_ERROR | PL_ERROR_ADDRESS << 8, "slot 0 can't read slot 1's memory");
}

static void registers(void)
{
	uint32_t slot = SHELL_REG_SLOT(0), loads = shell_reg(slot + SHELL_SLOT_LOADS);

	decouple(3);
	check_equal(load_image(SHA256_3, PARTIAL), 0, "the last slot loads");
	check_equal(shell_reg(SHELL_REG_SLOT(3) + SHELL_SLOT_STATE), SHELL_STATE_ISOLATED | SHELL_DECOUPLED,
		    "it is isolated until coupled");
	check_equal(shell_reg(SHELL_REG_SLOT(3) + SHELL_SLOT_NAME), 0x32616873, "the shell names its design");
	check_equal(shell_reg(SHELL_REG_SLOT(3) + SHELL_SLOT_VERSION), 0x10000, "and its version");
	check_equal(shell_reg(slot + SHELL_SLOT_LOADS), loads, "other slots' loads are not counted with it");
	couple(3);
	check(has_id(3, ID_SHA256), "it comes to life");
	check_equal(reg(3, PL_REG_SLOT), 3, "and knows its slot");
}

void test_slots(void)
{
	group("slots");
	check_equal(load_image(SHELL, FULL), 0, "the shell loads");
	check_equal(load_image(VADD_0, PARTIAL), 0, "a design loads into slot 0");
	check_equal(load_image(SHA256_1, PARTIAL), 0, "another into slot 1");
	couple(0);
	couple(1);
	check(has_id(0, ID_VADD) && has_id(1, ID_SHA256), "two accelerators in two slots");
	write32(DMA(0) + 0x1000, 0x5eed);
	isolation();
	gic_enable(VB_ADMA_SPI_BASE + 1, true);
	cut_off();
	overlaps();
	registers();
}
