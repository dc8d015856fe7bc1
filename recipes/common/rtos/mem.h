/* SPDX-License-Identifier: MIT */
/* What the kernel has of <string.h>: same names, same meaning. */
#ifndef RTOS_MEM_H
#define RTOS_MEM_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t length);
void *memmove(void *to, const void *from, size_t length);
void *memset(void *to, int value, size_t length);
int memcmp(const void *left, const void *right, size_t length);
size_t strlen(const char *text);
int strcmp(const char *left, const char *right);

#endif
