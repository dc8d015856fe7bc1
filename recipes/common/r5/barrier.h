/* SPDX-License-Identifier: MIT */
/* Memory barriers (ARM DDI 0406C, A3.8.3), full system: the other side is another cluster. */
#ifndef R5_BARRIER_H
#define R5_BARRIER_H

static inline void dmb(void)
{
	__asm__ volatile("dmb sy" ::: "memory");
}

static inline void dsb(void)
{
	__asm__ volatile("dsb sy" ::: "memory");
}

#endif
