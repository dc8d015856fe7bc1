/* SPDX-License-Identifier: MIT */
/*
 * Fixed-priority, pre-emptive scheduler for one processor: tasks, absolute sleeps, semaphores with
 * time-outs, mutexes with priority inheritance. No memory is allocated. Equal priorities take turns
 * every SCHED_SLICE_US. What needs the machine is behind port.h, so that a host can run all of it.
 *
 * Times are values of the counter, port_now(). SCHED_FOREVER never comes.
 */
#ifndef RTOS_SCHED_H
#define RTOS_SCHED_H

#include <stdbool.h>
#include <stdint.h>

#include "list.h"
#include "port.h"

#define SCHED_PRIORITIES	32	/* 0 is the idle task's, 31 the most urgent */
#define SCHED_FOREVER		UINT64_MAX
#define SCHED_SLICE_US		10000

enum task_state { TASK_READY, TASK_SLEEPING, TASK_WAITING, TASK_DEAD };

struct mutex;

struct task {
	struct port_context context;	/* first: the exception entry stores there */
	const char *name;
	struct list link;		/* in a queue of ready tasks or of waiters */
	struct list timer;		/* in the list of sleepers, also while waiting with a time-out */
	struct list all;
	uint64_t wake;
	uint64_t runtime;		/* counter ticks on the processor */
	uint64_t switches;
	struct mutex *blocked_on;
	struct mutex *held;
	enum task_state state;
	uint8_t priority, base_priority;
	bool timed_out;
};

struct semaphore {
	struct list waiters;		/* most urgent first */
	uint32_t count, limit;
};

struct mutex {
	struct list waiters;
	struct task *owner;
	struct mutex *next_held;	/* of the same owner */
};

/* Begin with the idle task, which must never block. Times are in ticks of `hz`. */
void sched_init(struct task *idle, uint64_t hz);

/* Make a task ready. Its context has been prepared. Before or after the start. */
void sched_add(struct task *task, const char *name, unsigned int priority);

/* Return the task to run now and set the alarm for the next decision. For the port only. */
struct task *sched_next(void);

struct task *sched_current(void);

/* Call `visit` for each task that was ever added, in that order. */
void sched_each(void (*visit)(const struct task *task));

/* For tasks. */
void task_yield(void);
void task_sleep_until(uint64_t time);
void task_exit(void) __attribute__((noreturn));

void semaphore_init(struct semaphore *semaphore, uint32_t count, uint32_t limit);
/* Also from an interrupt. What is given beyond the limit is lost. */
void semaphore_give(struct semaphore *semaphore);
/* Return false if `deadline` came first. */
bool semaphore_take(struct semaphore *semaphore, uint64_t deadline);

/* Not recursive; only the owner may unlock. */
void mutex_init(struct mutex *mutex);
void mutex_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);

#endif
