/* SPDX-License-Identifier: MIT */
#ifndef MPU_H
#define MPU_H

#include <stdint.h>

/* From now on this core faults outside the memory of the programmable logic. */
void mpu_enable(void);

#endif
