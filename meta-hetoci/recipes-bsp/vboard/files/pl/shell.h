/* SPDX-License-Identifier: MIT */
/* Registers of the shell (VB_SHELL_REGS_BASE), word indices, all read-only. */
#ifndef SHELL_H
#define SHELL_H

#define SHELL_REG_ID		0
#define SHELL_REG_VERSION	1
#define SHELL_REG_SLOTS		2	/* number of slots */
#define SHELL_REG_BEAT		3	/* changes while the shell runs */

#define SHELL_REG_SLOT(n)	(16 + 16 * (n))	/* first word about slot n */
#define SHELL_SLOT_STATE	0
#define SHELL_SLOT_VERSION	1	/* of the design; 0 if empty */
#define SHELL_SLOT_LOADS	2	/* designs loaded since the shell started */
#define SHELL_SLOT_FAULT	3	/* of the last fault: 1 undefined, 2 SVC, 3 prefetch, 4 data abort */
#define SHELL_SLOT_FAULT_PC	4
#define SHELL_SLOT_NAME		8	/* 32 bytes; zero if empty */

#define SHELL_STATE_EMPTY	0
#define SHELL_STATE_ISOLATED	1	/* a design is there, its decoupler is engaged */
#define SHELL_STATE_RUNNING	2
#define SHELL_STATE_FAULTED	3	/* the design took an exception; dead until decoupled and coupled */
#define SHELL_STATE_MASK	0xff
#define SHELL_DECOUPLED		0x100	/* the decoupler, as the shell sees it */

#endif
