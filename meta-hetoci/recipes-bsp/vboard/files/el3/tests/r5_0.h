/* SPDX-License-Identifier: MIT */
/* Words shared by the tests and their R5_0 firmware, above its program. */
#ifndef R5_0_H
#define R5_0_H

#define R5_0_STACK	0x8000
#define R5_0_COUNT	0x8000	/* rises while the firmware runs */
#define R5_0_STARTS	0x8004	/* times it has started */
#define R5_0_KICK_NOW	0x8008	/* 1: kick, then 0 */
#define R5_0_SCRATCH	0x800c

#endif
