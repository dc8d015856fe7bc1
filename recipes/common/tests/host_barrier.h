/* SPDX-License-Identifier: MIT */
/* Takes the place of barrier.h when the portable C files run on the build host. */
#ifndef R5_BARRIER_H
#define R5_BARRIER_H

static inline void dmb(void)
{
	__sync_synchronize();
}

static inline void dsb(void)
{
	__sync_synchronize();
}

#endif
