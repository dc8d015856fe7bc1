/* SPDX-License-Identifier: MIT */
/* Memory functions of ISO C for code without a C library. */
#ifndef VB_MEM_H
#define VB_MEM_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);

#endif
