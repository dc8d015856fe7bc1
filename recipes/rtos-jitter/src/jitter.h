/* SPDX-License-Identifier: MIT */
/* How late a periodic task of the highest priority is released, measured with the virtual counter. */
#ifndef JITTER_H
#define JITTER_H

#include <stdint.h>

#include "stats.h"

/* Start the task with this period, and one that prints a line every `report` seconds. */
void jitter_start(uint32_t period_us, uint32_t report);

/* Print all since the start: the sums, and a histogram. For one task at a time. */
void jitter_print(void);

#endif
