/* SPDX-License-Identifier: MIT */
/*
 * Programming of the logic: what PCAP and the configuration engine do on a ZynqMP.
 * docs/virtual-board.md has the file format, the checks and the statuses.
 */
#include <stddef.h>

#include "bitstream.h"
#include "el3.h"
#include "mem.h"
#include "plctl.h"
#include "sha256.h"
#include "vboard.h"

#define CTL(offset)		(VB_EL3_SHELL_BASE + (offset))
#define PAGE			0x1000
#define DDR_END			0x80000000u
#define DEAD			0xdec0dead
#define DECOUPLED		1

#define LOAD_PARTIAL		0x1	/* Linux, XILINX_ZYNQMP_PM_FPGA_PARTIAL */
#define READ_CONFIG_STAT	7	/* UG570, table 9-19: address of STAT */

/* csu.pcap_status (UG1087) */
#define PCAP_IDLE		0x3
#define PCAP_PL_INIT		0x4
#define PCAP_PL_DONE		0x8

/* STAT (UG570, table 9-25; Linux, Documentation/ABI/testing/sysfs-driver-zynqmp-fpga) */
#define STAT_CRC_ERROR		(1u << 0)
#define STAT_INITIALISED	(1u << 12 | 1u << 11)
#define STAT_STARTED		(1u << 14 | 1u << 13 | 4u << 18 | 0xfcu)
#define STAT_ID_ERROR		(1u << 15)

static struct {
	bool done;		/* a shell runs */
	uint32_t shell_id;	/* if done */
	uint32_t error;		/* STAT bits of the last refusal */
} pl;

static const struct {
	uint64_t base, size;
} reserved[] = {
	{ 0, VB_LOW_RESERVED_SIZE },
	{ VB_RPROC_FW_BASE, VB_VDEV_BUFFER_BASE + VB_VDEV_BUFFER_SIZE - VB_RPROC_FW_BASE },
	{ VB_PL_DMA_BASE, VB_NUM_SLOTS * VB_PL_DMA_SIZE },
};

static uint32_t refuse(uint32_t status, uint32_t stat, const char *reason)
{
	pl.error = stat;
	eemi_reason = reason;
	return status;
}

static void fill_words(uint64_t address, uint32_t value, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i += 4)
		write32(address + i, value);
}

static uint64_t slot_code(uint32_t slot)
{
	return VB_SLOT_CODE_BASE + (uint64_t)slot * VB_SLOT_CODE_SIZE;
}

static uint64_t decoupler(uint32_t slot)
{
	return VB_DECOUPLER_BASE + (uint64_t)slot * VB_REGS_SIZE;
}

/* No logic to be seen: windows dead, decouplers engaged. */
static void blank_windows(void)
{
	fill_words(VB_SLOT_REGS_BASE, DEAD, VB_NUM_SLOTS * VB_REGS_SIZE);
	fill_words(VB_SHELL_REGS_BASE, DEAD, VB_REGS_SIZE);
	for (uint32_t slot = 0; slot < VB_NUM_SLOTS; slot++)
		write32(decoupler(slot), DECOUPLED);
	barrier();
}

/* Only while R5_1 does not run any of them. */
static void clear_programs(void)
{
	memset((void *)VB_SHELL_CODE_BASE, 0, VB_SHELL_CODE_SIZE);
	memset((void *)VB_SLOT_CODE_BASE, 0, VB_NUM_SLOTS * VB_SLOT_CODE_SIZE);
	barrier();
}

void fpga_init(void)
{
	fill_words(CTL(0), 0, PAGE);
	blank_windows();
	clear_programs();
}

/* Memory a caller may name: DDR that answers, and is no one else's. */
static bool readable(uint64_t address, uint32_t bytes)
{
	uint64_t end = address + bytes;

	if (address % 4 != 0 || end < address || end > DDR_END)
		return false;
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
		if (address < reserved[i].base + reserved[i].size && end > reserved[i].base)
			return false;
	}
	for (uint64_t page = address; page < end; page = (page | (PAGE - 1)) + 1) {
		if (!probe_read(page))
			return false;
	}
	return true;
}

static uint32_t check_format(const struct bitstream_header *h, uint32_t bytes)
{
	bool partial = h->flags & BITSTREAM_FLAG_PARTIAL;
	uint32_t room = partial ? VB_SLOT_CODE_SIZE : VB_SHELL_CODE_SIZE;

	if (h->magic != BITSTREAM_MAGIC)
		return refuse(XST_PM_INTERNAL, 0, "not a bitstream");
	if (h->version != BITSTREAM_VERSION || h->header_length != BITSTREAM_HEADER_LENGTH)
		return refuse(XST_PM_INTERNAL, 0, "unknown version of the bitstream format");
	if (h->length != bytes - BITSTREAM_HEADER_LENGTH)
		return refuse(XST_PM_INVALID_CRC, STAT_CRC_ERROR, "the file is not as long as its header says");
	if (h->flags & ~BITSTREAM_FLAG_PARTIAL || h->length == 0 || h->length % 4 != 0 ||
	    h->length > room || h->entry % 4 != 0 || h->entry >= h->length ||
	    (partial ? h->slot >= VB_NUM_SLOTS : h->slot != BITSTREAM_SLOT_NONE))
		return refuse(XST_PM_INTERNAL, 0, "a header field is out of range");
	return XST_PM_SUCCESS;
}

static bool digest_matches(const struct bitstream_header *h, const void *program)
{
	struct bitstream_header zeroed = *h;
	uint8_t digest[SHA256_DIGEST];
	struct sha256 sha;

	memset(zeroed.digest, 0, sizeof(zeroed.digest));
	sha256_init(&sha);
	sha256_update(&sha, &zeroed, sizeof(zeroed));
	sha256_update(&sha, program, h->length);
	sha256_final(&sha, digest);
	return memcmp(digest, h->digest, sizeof(digest)) == 0;
}

/* Holds after check_format(): whether this part, in its present state, can take the file. */
static uint32_t check_fit(const struct bitstream_header *h, uint32_t flags)
{
	bool partial = h->flags & BITSTREAM_FLAG_PARTIAL;

	if (h->idcode != VB_PL_IDCODE)
		return refuse(XST_PM_INVALID_NODE, STAT_ID_ERROR, "made for another part");
	if (partial != !!(flags & LOAD_PARTIAL))
		return refuse(XST_PM_CONFLICT, 0, partial ? "partial bitstream, full configuration asked" :
							    "full bitstream, partial configuration asked");
	if (!partial)
		return XST_PM_SUCCESS;
	if (!pl.done)
		return refuse(XST_PM_CONFLICT, 0, "partial bitstream, but no shell is loaded");
	if (h->shell_id != pl.shell_id)
		return refuse(XST_PM_CONFLICT, 0, "built for another shell");
	if (!(read32(decoupler(h->slot)) & DECOUPLED))
		return refuse(XST_PM_CONFLICT, 0, "the decoupler of the file's slot is not engaged");
	return XST_PM_SUCCESS;
}

static void copy_program(uint64_t to, const void *program, uint32_t bytes, uint32_t room)
{
	memcpy((void *)to, program, bytes);
	memset((void *)(to + bytes), 0, room - bytes);
	barrier();
}

static bool await(uint32_t offset, uint32_t value)
{
	return await_word(CTL(offset), value, START_TIMEOUT_MS);
}

static uint32_t start_shell(const struct bitstream_header *h, const void *program)
{
	uint32_t token = read32(CTL(PLCTL_TOKEN)) + 1;

	if (!rpu_begin(RPU_1))
		return refuse(XST_PM_TIMEOUT, 0, "R5_1 did not leave reset");
	/* Only now is the shell of before certain to be gone. */
	blank_windows();
	clear_programs();
	copy_program(VB_SHELL_CODE_BASE, program, h->length, VB_SHELL_CODE_SIZE);
	write32(CTL(PLCTL_ALIVE), 0);
	write32(CTL(PLCTL_TOKEN), token);
	write32(CTL(PLCTL_REQ_SEQ), 0);
	write32(CTL(PLCTL_REQ_ACK), 0);
	if (!rpu_go(RPU_1, VB_SHELL_CODE_BASE + h->entry) || !await(PLCTL_ALIVE, token))
		return refuse(XST_PM_TIMEOUT, 0, "the shell did not start");
	return XST_PM_SUCCESS;
}

static uint32_t load_full(const struct bitstream_header *h, const void *program)
{
	uint32_t status;

	pl.done = false;
	rpu_hold(RPU_1);
	status = start_shell(h, program);
	if (status != XST_PM_SUCCESS) {
		rpu_hold(RPU_1);
		blank_windows();
		return status;
	}
	pl.done = true;
	pl.shell_id = h->shell_id;
	return XST_PM_SUCCESS;
}

/* False: the shell did not answer in time. */
static bool ask_shell(uint32_t op, uint32_t slot, uint32_t *result)
{
	uint32_t sequence = read32(CTL(PLCTL_REQ_SEQ)) + 1;

	write32(CTL(PLCTL_REQ_OP), op);
	write32(CTL(PLCTL_REQ_SLOT), slot);
	barrier();
	write32(CTL(PLCTL_REQ_SEQ), sequence);
	barrier();
	if (!await(PLCTL_REQ_ACK, sequence))
		return false;
	*result = read32(CTL(PLCTL_REQ_RESULT));
	return true;
}

static uint32_t load_partial(const struct bitstream_header *h, const void *program)
{
	uint32_t result;

	if (!ask_shell(PLCTL_OP_EMPTY, h->slot, &result))
		return refuse(XST_PM_TIMEOUT, 0, "the shell does not answer");
	if (result != PLCTL_OK)
		return refuse(XST_PM_CONFLICT, 0, "the decoupler of the file's slot is not engaged");
	copy_program(slot_code(h->slot), program, h->length, VB_SLOT_CODE_SIZE);
	write32(CTL(PLCTL_REQ_ENTRY), (uint32_t)slot_code(h->slot) + h->entry);
	write32(CTL(PLCTL_REQ_VERSION), h->design_version);
	memcpy((void *)CTL(PLCTL_REQ_NAME), h->name, sizeof(h->name));
	if (!ask_shell(PLCTL_OP_INSTALL, h->slot, &result))
		return refuse(XST_PM_TIMEOUT, 0, "the shell does not answer");
	if (result != PLCTL_OK)
		return refuse(XST_PM_INTERNAL, 0, "the program has no valid entry table");
	return XST_PM_SUCCESS;
}

uint32_t fpga_load(const uint32_t *arg, uint32_t *out)
{
	uint64_t address = (uint64_t)arg[1] << 32 | arg[0];
	uint32_t bytes = arg[2], flags = arg[3];
	struct bitstream_header header;
	const void *program = (const void *)(address + sizeof(header));
	uint32_t status;

	(void)out;
	if (flags & ~LOAD_PARTIAL)
		return refuse(XST_PM_NO_FEATURE, 0, "encrypted or authenticated bitstreams do not exist here");
	if (!readable(address, bytes))
		return refuse(XST_PM_NO_ACCESS, 0, "the file is not in memory of the caller's");
	if (bytes < sizeof(header))
		return refuse(XST_PM_INVALID_CRC, STAT_CRC_ERROR, "the file is shorter than a header");
	memcpy(&header, (const void *)address, sizeof(header));
	status = check_format(&header, bytes);
	if (status != XST_PM_SUCCESS)
		return status;
	if (!digest_matches(&header, program))
		return refuse(XST_PM_INVALID_CRC, STAT_CRC_ERROR, "the digest does not match");
	status = check_fit(&header, flags);
	if (status != XST_PM_SUCCESS)
		return status;
	pl.error = 0;
	if (flags & LOAD_PARTIAL)
		return load_partial(&header, program);
	return load_full(&header, program);
}

uint32_t fpga_get_status(const uint32_t *arg, uint32_t *out)
{
	(void)arg;
	out[0] = PCAP_IDLE | PCAP_PL_INIT | (pl.done ? PCAP_PL_DONE : 0);
	return XST_PM_SUCCESS;
}

uint32_t fpga_read(const uint32_t *arg, uint32_t *out)
{
	if (arg[3] != 0 || arg[0] != READ_CONFIG_STAT)
		return refuse(XST_PM_NO_FEATURE, pl.error, "only the configuration register STAT can be read");
	out[0] = pl.error | STAT_INITIALISED | (pl.done ? STAT_STARTED : 0);
	return XST_PM_SUCCESS;
}
