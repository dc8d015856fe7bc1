/* SPDX-License-Identifier: MIT */
/* Jobs of the two sample designs (docs/virtual-board.md), and data to give them. */
#ifndef APP_DESIGNS_H
#define APP_DESIGNS_H

#include "accelerator.h"

#define VADD_ID		0x44444156	/* "VADD" */
#define SHA256_ID	0x32414853	/* "SHA2" */

/* Numbers that look random and are the same in each run. */
void design_data(uint32_t *words, size_t count);

/* sum[i] = a[i] + b[i] by the accelerator, three vectors of `count` words; milliseconds. */
double design_vadd(struct accelerator *a, const uint32_t *x, const uint32_t *y, uint32_t *sum,
		   size_t count);

/* Ends the program if an element is not the sum modulo 2^32. */
void design_check_vadd(unsigned int round, const uint32_t *x, const uint32_t *y,
		       const uint32_t *sum, size_t count);

/* The digest of a message by the accelerator, in hexadecimal; milliseconds. */
double design_sha256(struct accelerator *a, const uint32_t *message, size_t bytes, char hex[65]);

/* Ends the program if `hex` is not what software finds. */
void design_check_sha256(unsigned int round, const void *message, size_t bytes, const char *hex);

#endif
