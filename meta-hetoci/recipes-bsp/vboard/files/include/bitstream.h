/* SPDX-License-Identifier: MIT */
/* Header of a bitstream file; docs/virtual-board.md, "Bitstreams". Little endian. */
#ifndef BITSTREAM_H
#define BITSTREAM_H

#include <stdint.h>

#define BITSTREAM_MAGIC		0x54494256	/* "VBIT" */
#define BITSTREAM_VERSION	1
#define BITSTREAM_HEADER_LENGTH	128
#define BITSTREAM_FLAG_PARTIAL	0x1
#define BITSTREAM_SLOT_NONE	0xffffffff

struct bitstream_header {
	uint32_t magic;
	uint16_t version;
	uint16_t header_length;
	uint32_t idcode;
	uint32_t flags;
	uint32_t slot;
	uint32_t shell_id;
	uint32_t length;
	uint32_t entry;
	uint8_t digest[32];
	char name[32];
	uint32_t design_version;
	uint8_t zero[28];
};

_Static_assert(sizeof(struct bitstream_header) == BITSTREAM_HEADER_LENGTH, "bitstream header");

#endif
