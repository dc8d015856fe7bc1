/* SPDX-License-Identifier: MIT */
/* The two accelerators by themselves: results, limits, errors, interrupts. */
#include "test.h"

#define SIZE		VB_PL_DMA_SIZE
#define ERROR(code)	(PL_STATUS_ERROR | (code) << 8)

static const uint32_t base = DMA(0);

static const struct {
	uint32_t a, b, c, count, status;
	const char *text;
} vadd_cases[] = {
	{ 0, 0x1000, 0x2000, 1024, PL_STATUS_DONE, "1024 elements" },
	{ 0, 0x1000, 0x2000, 1, PL_STATUS_DONE, "one element" },
	{ 0, 0x1000, 0x2000, 0, PL_STATUS_DONE, "no element" },
	{ 0, 0x10000, 0x20000, 1025, PL_STATUS_DONE, "one more than a step" },
	{ 0, 0x55554, 0xaaaa8, 87381, PL_STATUS_DONE, "as many as the memory holds" },
	{ SIZE - 4, 0, 0x1000, 1, PL_STATUS_DONE, "the last word of the memory" },
	{ SIZE - 4, 0, 0x1000, 2, ERROR(PL_ERROR_LENGTH), "A beyond the end" },
	{ 0, SIZE - 4, 0x1000, 2, ERROR(PL_ERROR_LENGTH), "B beyond the end" },
	{ 0, 0x1000, SIZE - 4, 2, ERROR(PL_ERROR_LENGTH), "C beyond the end" },
	{ 0, 0, 0, 0x40000001, ERROR(PL_ERROR_LENGTH), "a count whose bytes wrap" },
	{ 0, 0, 0, 0xffffffff, ERROR(PL_ERROR_LENGTH), "the largest count" },
	{ 2, 0x1000, 0x2000, 1, ERROR(PL_ERROR_ADDRESS), "A not aligned" },
	{ 0, 0x1000, -VB_PL_DMA_BASE, 1, ERROR(PL_ERROR_ADDRESS), "C at 0x0" },
	{ 0, SIZE, SIZE + 0x1000, 1, ERROR(PL_ERROR_ADDRESS), "C in the neighbour's memory" },
	{ -4u, 0, 0x1000, 1, ERROR(PL_ERROR_ADDRESS), "A before the memory" },
};

static const struct {
	uint32_t message, length, to, status;
	const char *text;
} sha256_cases[] = {
	{ 0, 0, 0, PL_STATUS_DONE, "the empty message" },
	{ 0, 1, 0, PL_STATUS_DONE, "one byte" },
	{ 3, 55, 0, PL_STATUS_DONE, "55 bytes, not aligned" },
	{ 0, 56, 0, PL_STATUS_DONE, "56 bytes" },
	{ 0, 63, 0, PL_STATUS_DONE, "63 bytes" },
	{ 0, 64, 0x1000, PL_STATUS_DONE, "64 bytes, digest to memory" },
	{ 1, 1024, 0x1000, PL_STATUS_DONE, "1024 bytes: a step" },
	{ 0, 1025, 0x1000, PL_STATUS_DONE, "1025 bytes" },
	{ 0, 99991, SIZE - 32, PL_STATUS_DONE, "99991 bytes, digest to the end of the memory" },
	{ 0, SIZE, 0, PL_STATUS_DONE, "the whole memory" },
	{ 1, SIZE, 0, ERROR(PL_ERROR_LENGTH), "beyond the end" },
	{ 0, 0xffffffff, 0, ERROR(PL_ERROR_LENGTH), "the largest length" },
	{ 0, 64, SIZE - 28, ERROR(PL_ERROR_LENGTH), "digest beyond the end" },
	{ 0, 64, 0x1002, ERROR(PL_ERROR_ADDRESS), "digest not aligned" },
	{ SIZE + 1, 0, 0, ERROR(PL_ERROR_ADDRESS), "message in the neighbour's memory" },
	{ -VB_PL_DMA_BASE, 64, 0, ERROR(PL_ERROR_ADDRESS), "message at 0x0" },
};

static void bring_up(enum image_id image, uint32_t id)
{
	decouple(0);
	check_equal(load_image(image, PARTIAL), 0, "it loads into slot 0");
	couple(0);
	check(has_id(0, id), "coupled, it comes to life");
	check_equal(reg(0, PL_REG_VERSION), 0x10000, "its version");
	check_equal(reg(0, PL_REG_SLOT), 0, "its slot");
	check_equal(reg(0, PL_REG_JOBS), 0, "no job done yet");
}

static void vadd(void)
{
	uint32_t jobs = 0;

	for (uint32_t i = 0; i < sizeof(vadd_cases) / sizeof(vadd_cases[0]); i++) {
		uint32_t a = base + vadd_cases[i].a, b = base + vadd_cases[i].b, c = base + vadd_cases[i].c;
		uint32_t status;

		fill_dma(0, SIZE, i + 1);
		start_vadd(0, a, b, c, vadd_cases[i].count, 0);
		status = end_job(0);
		check_equal(status, vadd_cases[i].status, vadd_cases[i].text);
		check_equal(reg(0, PL_REG_JOBS), ++jobs, "the job is counted");
		if (status != PL_STATUS_DONE)
			continue;
		check(vadd_right(a, b, c, vadd_cases[i].count), "the sums are right");
		check_equal(reg(0, PL_REG_WORK), vadd_cases[i].count, "all elements were worked on");
	}
}

static void known_digest(void)
{
	/* FIPS 180-4 example: "abc" */
	static const uint32_t want[] = { 0xba7816bf, 0x8f01cfea, 0x414140de, 0x5dae2223,
					 0xb00361a3, 0x96177a9c, 0xb410ff61, 0xf20015ad };

	write32(base, 0x00636261);
	start_sha256(0, base, 3, 0, 0);
	check_equal(end_job(0), PL_STATUS_DONE, "\"abc\"");
	for (uint32_t i = 0; i < 8; i++)
		check_equal(reg(0, PL_REG_OWN + 8 + i), want[i], "its digest as published");
}

static void sha256(void)
{
	for (uint32_t i = 0; i < sizeof(sha256_cases) / sizeof(sha256_cases[0]); i++) {
		uint32_t message = base + sha256_cases[i].message, length = sha256_cases[i].length;
		uint32_t to = sha256_cases[i].to ? base + sha256_cases[i].to : 0;
		uint32_t status;

		fill_dma(0, SIZE, i + 1);
		start_sha256(0, message, length, to, 0);
		status = end_job(0);
		check_equal(status, sha256_cases[i].status, sha256_cases[i].text);
		if (status == PL_STATUS_DONE)
			check(sha256_right(0, message, length, to), "the digest is right");
	}
}

static void interrupts(void)
{
	uint32_t taken = 0;

	gic_enable(VB_ADMA_SPI_BASE, true);
	start_vadd(0, base, base, base + 0x1000, 16, 0);
	end_job(0);
	check(gic_take(20) == -1, "no interrupt unless enabled");
	for (uint32_t i = 0; i < 500; i++) {
		start_vadd(0, base, base, base + 0x1000, 16, PL_CTRL_IRQ_ENABLE);
		taken += gic_take(PATIENCE_MS) == VB_ADMA_SPI_BASE && reg(0, PL_REG_STATUS) == PL_STATUS_DONE;
	}
	check_equal(taken, 500, "each of 500 jobs ends with an interrupt");
	check(gic_take(20) == -1, "and with one only");
	start_vadd(0, 2, base, base, 1, PL_CTRL_IRQ_ENABLE);
	check_equal((uint64_t)gic_take(PATIENCE_MS), VB_ADMA_SPI_BASE, "a refused job interrupts too");
	set_reg(0, PL_REG_CTRL, 0);
}

static void read_only(void)
{
	set_reg(0, PL_REG_ID, 0);
	set_reg(0, PL_REG_STATUS, PL_STATUS_BUSY);
	check(has_id(0, ID_VADD), "a read-only register can't be changed");
	check(becomes(VB_SLOT_REGS_BASE + 4 * PL_REG_STATUS, PL_STATUS_BUSY, 0, PATIENCE_MS), "nor can STATUS");
}

void test_accelerators(void)
{
	group("vadd");
	bring_up(VADD_0, ID_VADD);
	vadd();
	interrupts();
	read_only();
	group("sha256");
	bring_up(SHA256_0, ID_SHA256);
	known_digest();
	sha256();
	decouple(0);
}
