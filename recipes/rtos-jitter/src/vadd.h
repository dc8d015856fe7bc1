/* SPDX-License-Identifier: MIT */
/* Driver and test of the accelerator vadd (docs/virtual-board.md, Registers), handed to the domain
 * as /passthrough/<node> with compatible "hetoci,vadd". */
#ifndef VADD_H
#define VADD_H

#include <stdbool.h>
#include <stdint.h>

/* Take the accelerator, if the domain has one; and say where it is. For a task. */
void vadd_init(void);

/* Run additions of growing length, each awaited by its interrupt, and compare every sum. Prints one
 * line; returns false if one was wrong, or there is no accelerator. One task at a time. */
bool vadd_run(uint32_t jobs);

#endif
