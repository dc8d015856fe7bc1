/* SPDX-License-Identifier: MIT */
/* What FPGA_LOAD refuses; nothing may have changed afterwards. */
#include "shell.h"
#include "test.h"

#define NO_FEATURE	19
#define INVALID_CRC	301
#define INTERNAL	2000
#define CONFLICT	2001
#define NO_ACCESS	2002
#define INVALID_NODE	2003

#define STAT_CRC_ERROR	(1u << 0)
#define STAT_ID_ERROR	(1u << 15)
#define STAT_STARTED	0x1078fc

struct refusal {
	enum image_id image;
	uint32_t flags;
	uint32_t status;
	uint32_t stat;
	/* Spoils the staged file; returns its new length. */
	uint32_t (*spoil)(struct bitstream_header *h, uint32_t bytes);
	bool reseal;
	const char *text;
};

static uint32_t as_is(struct bitstream_header *h, uint32_t bytes)
{
	(void)h;
	return bytes;
}

static uint32_t flip_program_bit(struct bitstream_header *h, uint32_t bytes)
{
	((uint8_t *)h)[bytes - 1] ^= 1;
	return bytes;
}

static uint32_t flip_name_bit(struct bitstream_header *h, uint32_t bytes)
{
	h->name[0] ^= 1;
	return bytes;
}

static uint32_t flip_digest_bit(struct bitstream_header *h, uint32_t bytes)
{
	h->digest[31] ^= 0x80;
	return bytes;
}

static uint32_t truncate(struct bitstream_header *h, uint32_t bytes)
{
	(void)h;
	return bytes - 4;
}

static uint32_t cut_header(struct bitstream_header *h, uint32_t bytes)
{
	(void)h;
	(void)bytes;
	return 100;
}

static uint32_t no_bytes(struct bitstream_header *h, uint32_t bytes)
{
	(void)h;
	(void)bytes;
	return 0;
}

static uint32_t append(struct bitstream_header *h, uint32_t bytes)
{
	(void)h;
	return bytes + 4;
}

static uint32_t foreign_part(struct bitstream_header *h, uint32_t bytes)
{
	h->idcode = 0x14738093;	/* XCZU9EG */
	return bytes;
}

static uint32_t other_magic(struct bitstream_header *h, uint32_t bytes)
{
	h->magic ^= 0x20;
	return bytes;
}

static uint32_t other_version(struct bitstream_header *h, uint32_t bytes)
{
	h->version = 2;
	return bytes;
}

static uint32_t long_header(struct bitstream_header *h, uint32_t bytes)
{
	h->header_length = 132;
	return bytes;
}

static uint32_t unknown_flag(struct bitstream_header *h, uint32_t bytes)
{
	h->flags |= 0x100;
	return bytes;
}

static uint32_t fifth_slot(struct bitstream_header *h, uint32_t bytes)
{
	h->slot = 4;
	return bytes;
}

static uint32_t shell_with_slot(struct bitstream_header *h, uint32_t bytes)
{
	h->slot = 0;
	return bytes;
}

static uint32_t entry_outside(struct bitstream_header *h, uint32_t bytes)
{
	h->entry = h->length;
	return bytes;
}

static uint32_t odd_entry(struct bitstream_header *h, uint32_t bytes)
{
	h->entry = 2;
	return bytes;
}

static uint32_t too_long(struct bitstream_header *h, uint32_t bytes)
{
	(void)bytes;
	h->length = VB_SLOT_CODE_SIZE + 4;
	return sizeof(*h) + h->length;
}

static const struct refusal cases[] = {
	{ VADD_0, PARTIAL, INVALID_CRC, STAT_CRC_ERROR, flip_program_bit, false, "a bit of the program flipped" },
	{ VADD_0, PARTIAL, INVALID_CRC, STAT_CRC_ERROR, flip_name_bit, false, "a bit of the header flipped" },
	{ VADD_0, PARTIAL, INVALID_CRC, STAT_CRC_ERROR, flip_digest_bit, false, "a bit of the digest flipped" },
	{ SHELL, FULL, INVALID_CRC, STAT_CRC_ERROR, flip_program_bit, false, "a bit of the shell flipped" },
	{ VADD_0, PARTIAL, INVALID_CRC, STAT_CRC_ERROR, truncate, false, "truncated" },
	{ SHELL, FULL, INVALID_CRC, STAT_CRC_ERROR, truncate, false, "the shell truncated" },
	{ VADD_0, PARTIAL, INVALID_CRC, STAT_CRC_ERROR, cut_header, false, "truncated in the header" },
	{ VADD_0, PARTIAL, INVALID_CRC, STAT_CRC_ERROR, no_bytes, false, "no bytes at all" },
	{ VADD_0, PARTIAL, INVALID_CRC, STAT_CRC_ERROR, append, false, "bytes after the end" },
	{ VADD_0, PARTIAL, INVALID_NODE, STAT_ID_ERROR, foreign_part, true, "made for another part" },
	{ SHELL, FULL, INVALID_NODE, STAT_ID_ERROR, foreign_part, true, "a shell for another part" },
	{ VADD_0, PARTIAL, INTERNAL, 0, other_magic, true, "another kind of file" },
	{ VADD_0, PARTIAL, INTERNAL, 0, other_version, true, "a later format" },
	{ VADD_0, PARTIAL, INTERNAL, 0, long_header, true, "a longer header" },
	{ VADD_0, PARTIAL, INTERNAL, 0, unknown_flag, true, "an unknown flag" },
	{ VADD_0, PARTIAL, INTERNAL, 0, fifth_slot, true, "a slot that does not exist" },
	{ SHELL, FULL, INTERNAL, 0, shell_with_slot, true, "a full bitstream with a slot" },
	{ VADD_0, PARTIAL, INTERNAL, 0, entry_outside, true, "its entry outside the program" },
	{ VADD_0, PARTIAL, INTERNAL, 0, odd_entry, true, "its entry not aligned" },
	{ VADD_0, PARTIAL, INTERNAL, 0, too_long, true, "too long for a slot" },
	{ VADD_0, FULL, CONFLICT, 0, as_is, false, "partial, asked for as full" },
	{ SHELL, PARTIAL, CONFLICT, 0, as_is, false, "full, asked for as partial" },
	{ VADD_0, PARTIAL | 2, NO_FEATURE, 0, as_is, false, "asked for as authenticated" },
	/* Only slot 0 is decoupled. */
	{ VADD_1, PARTIAL, CONFLICT, 0, as_is, false, "for a slot that is not isolated" },
};

static const struct {
	uint64_t address;
	uint32_t bytes;
	const char *text;
} places[] = {
	{ 0x180000, 0x1000, "in EL3's memory" },
	{ VB_LOW_RESERVED_SIZE - 4, 0x1000, "beginning in reserved memory" },
	{ VB_RPROC_FW_BASE - 4, 0x1000, "ending in R5_0's carve-out" },
	{ VB_VDEV_BUFFER_BASE + VB_VDEV_BUFFER_SIZE - 4, 0x1000, "beginning in the RPMsg buffers" },
	{ VB_PL_DMA_BASE, 0x1000, "in the accelerators' memory" },
	{ 0x10000000, 0x40000000, "around the carve-outs" },
	{ VB_OCM_BASE, 0x1000, "in on-chip memory" },
	{ 0x80000000, 0x1000, "beyond the memory" },
	{ 0x7ffffff0, 0x1000, "across the end of the memory" },
	{ 0x100000000, 0x1000, "above 4 GiB" },
	{ 0xffffffffffffff00, 0x1000, "around the end of the address space" },
	{ STAGE + 2, 0x1000, "not aligned" },
};

/* A number that changes with anything a load could change. */
static uint64_t state(void)
{
	uint64_t sum = 0xcbf29ce484222325;
	uint32_t out[3];

	for (uint64_t a = VB_SLOT_CODE_BASE; a < VB_SLOT_CODE_BASE + VB_NUM_SLOTS * VB_SLOT_CODE_SIZE; a += 4)
		sum = (sum ^ read32(a)) * 0x100000001b3;
	for (uint32_t n = 0; n < VB_NUM_SLOTS; n++) {
		sum = (sum ^ read32(VB_DECOUPLER_BASE + n * VB_REGS_SIZE)) * 0x100000001b3;
		for (uint32_t i = 0; i < 16; i++)
			sum = (sum ^ shell_reg(SHELL_REG_SLOT(n) + i)) * 0x100000001b3;
		for (uint32_t i = 0; i < 32; i++)
			sum = (sum ^ reg(n, i)) * 0x100000001b3;
	}
	for (uint32_t i = 0; i < images[SHELL].bytes - sizeof(struct bitstream_header); i += 4)
		sum = (sum ^ read32(VB_SHELL_CODE_BASE + i)) * 0x100000001b3;
	eemi(23, 0, 0, 0, 0, out);
	return (sum ^ out[0]) * 0x100000001b3;
}

static void refuse(const struct refusal *r)
{
	uint32_t bytes = r->spoil((void *)STAGE, stage(r->image));
	uint64_t before = state();
	uint32_t out[3], status;

	if (r->reseal)
		reseal();
	status = load(bytes, r->flags);
	check_equal(status, r->status, r->text);
	eemi(46, 7, 0, 0, 0, out);
	check_equal(out[0], STAT_STARTED | r->stat, "STAT tells the reason");
	check(state() == before, "nothing has changed");
}

static void partial_without_shell(void)
{
	stage(VADD_0);
	check_equal(load((uint32_t)images[VADD_0].bytes, PARTIAL), CONFLICT, "partial without a shell");
}

static void for_another_shell(void)
{
	check_equal(load_image(OTHER_SHELL, FULL), 0, "another shell loads");
	check(shell_reg(SHELL_REG_ID) != PL_SHELL_ID, "its id is another");
	check_equal(load_image(VADD_0, PARTIAL), CONFLICT, "built for a shell that is not loaded");
}

static void refuse_place(uint32_t i)
{
	uint64_t before = state();

	check_equal(eemi(22, (uint32_t)places[i].address, (uint32_t)(places[i].address >> 32),
			 places[i].bytes, FULL, NULL), NO_ACCESS, places[i].text);
	check(state() == before, "nothing has changed");
}

/* Runs before any shell is loaded. */
void test_without_shell(void)
{
	group("refusals");
	partial_without_shell();
}

void test_refusals(void)
{
	group("refusals");
	for_another_shell();
	load_image(SHELL, FULL);
	check_equal(load_image(VADD_1, PARTIAL), 0, "a neighbour loads");
	couple(1);
	check(has_id(1, ID_VADD), "and runs");
	for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		refuse(&cases[i]);
	for (uint32_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		refuse_place(i);
	check_equal(load_image(VADD_0, PARTIAL), 0, "after all that a good file loads");
	decouple(1);
}
