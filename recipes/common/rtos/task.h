/* SPDX-License-Identifier: MIT */
#ifndef RTOS_TASK_H
#define RTOS_TASK_H

#include "sched.h"

#define TASKS_MAX	16	/* with the idle task */

/* Start a task with a stack of 4 KiB. Never fails: too many is a bug, and ends in a panic. */
void task_start(const char *name, unsigned int priority, void (*function)(void *), void *context);

/* Run `first` as the first task. Never returns. */
void tasks_begin(void (*first)(void *)) __attribute__((noreturn));

#endif
