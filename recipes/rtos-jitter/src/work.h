/* SPDX-License-Identifier: MIT */
/* Load: tasks of different priority that compute, and share a counter under a mutex. */
#ifndef WORK_H
#define WORK_H

#include <stdint.h>

#define WORK_TASKS_MAX	6

/* Start `count` tasks, the first the least urgent. */
void work_start(uint32_t count);

/* Print what each has done; says so if the shared counter is not the sum. */
void work_print(void);

#endif
