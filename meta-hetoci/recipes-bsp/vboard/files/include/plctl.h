/* SPDX-License-Identifier: MIT */
/*
 * Private page between the EL3 firmware and the code it starts on an R5 core
 * (VB_EL3_SHELL_BASE). Byte offsets of 32-bit words; no software above EL3 touches them.
 * Plain #defines: assembler on both sides includes this file.
 */
#ifndef PLCTL_H
#define PLCTL_H

/*
 * Start of a core. EL3 points the reset vector at its stub, which copies PING to ECHO
 * until GO is 1, then writes PLCTL_GONE to ECHO and jumps to GO_ADDR.
 */
#define PLCTL_PING		0x00
#define PLCTL_ECHO		0x04
#define PLCTL_GO		0x08
#define PLCTL_GO_ADDR		0x0c
#define PLCTL_GONE		0xffffffff

/* Life of the shell: it copies TOKEN to ALIVE when it serves requests. */
#define PLCTL_TOKEN		0x20
#define PLCTL_ALIVE		0x24

/*
 * Requests of EL3 to the shell, one at a time: EL3 fills in the words from OP on, then
 * changes SEQ; the shell writes RESULT, then copies SEQ to ACK.
 */
#define PLCTL_REQ_SEQ		0x40
#define PLCTL_REQ_ACK		0x44
#define PLCTL_REQ_RESULT	0x48
#define PLCTL_REQ_OP		0x4c
#define PLCTL_REQ_SLOT		0x50
#define PLCTL_REQ_ENTRY		0x54	/* INSTALL: physical address of the struct pl_design */
#define PLCTL_REQ_VERSION	0x58	/* INSTALL: version of the design */
#define PLCTL_REQ_NAME		0x60	/* INSTALL: 32 bytes, NUL padded */

#define PLCTL_OP_EMPTY		1	/* forget the slot's design, which must be isolated */
#define PLCTL_OP_INSTALL	2	/* the slot's new design is in place */

#define PLCTL_OK		0
#define PLCTL_NOT_ISOLATED	1	/* the slot's decoupler is not engaged */
#define PLCTL_BAD_DESIGN	2	/* no struct pl_design of this ABI at ENTRY */
#define PLCTL_BAD_REQUEST	3

/* One word a DMA channel, copied onto itself to raise the channel's interrupt. */
#define PLCTL_DMA_WORD		0xf00	/* channel n: + 4 * n */

#endif
