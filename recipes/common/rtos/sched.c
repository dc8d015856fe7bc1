/* SPDX-License-Identifier: MIT */
#include "sched.h"

static struct list ready[SCHED_PRIORITIES];
static uint32_t ready_levels;		/* bit n: ready[n] is not empty */
static struct list sleepers;		/* soonest first */
static struct list everyone;
static struct task *current;
static uint64_t slice, slice_end, accounted;

static struct task *of_link(struct list *link)
{
	return container_of(link, struct task, link);
}

static struct task *of_timer(struct list *timer)
{
	return container_of(timer, struct task, timer);
}

static void enqueue(struct task *task)
{
	task->state = TASK_READY;
	list_insert_before(&ready[task->priority], &task->link);
	ready_levels |= 1u << task->priority;
}

static void dequeue(struct task *task)
{
	list_remove(&task->link);
	if (list_empty(&ready[task->priority]))
		ready_levels &= ~(1u << task->priority);
}

/* Behind all waiters that are as urgent or more so. */
static void wait_in(struct list *waiters, struct task *task)
{
	struct list *at = waiters->next;

	while (at != waiters && of_link(at)->priority >= task->priority)
		at = at->next;
	list_insert_before(at, &task->link);
}

static void wake(struct task *task, bool timed_out)
{
	list_remove(&task->timer);
	list_remove(&task->link);
	task->timed_out = timed_out;
	enqueue(task);
}

static void sleep_until(struct task *task, uint64_t time)
{
	struct list *at = sleepers.next;

	if (time == SCHED_FOREVER)
		return;
	task->wake = time;
	while (at != &sleepers && of_timer(at)->wake <= time)
		at = at->next;
	list_insert_before(at, &task->timer);
}

void sched_init(struct task *idle, uint64_t hz)
{
	for (unsigned int i = 0; i < SCHED_PRIORITIES; i++)
		list_init(&ready[i]);
	ready_levels = 0;
	list_init(&sleepers);
	list_init(&everyone);
	slice = hz / 1000000 * SCHED_SLICE_US;
	accounted = port_now();
	slice_end = accounted + slice;
	current = NULL;
	sched_add(idle, "idle", 0);
	current = idle;
}

void sched_add(struct task *task, const char *name, unsigned int priority)
{
	unsigned long flags = port_lock();

	task->name = name;
	task->priority = task->base_priority =
		(uint8_t)(priority < SCHED_PRIORITIES ? priority : SCHED_PRIORITIES - 1);
	task->blocked_on = NULL;
	task->held = NULL;
	task->runtime = task->switches = 0;
	task->timed_out = false;
	list_init(&task->link);
	list_init(&task->timer);
	list_insert_before(&everyone, &task->all);
	enqueue(task);
	port_unlock(flags);
}

/* Wake who is due, and let the next of equals run if the slice is over. */
static void expire(uint64_t now)
{
	while (!list_empty(&sleepers) && of_timer(sleepers.next)->wake <= now)
		wake(of_timer(sleepers.next), true);
	if (now >= slice_end && current->state == TASK_READY) {
		dequeue(current);
		enqueue(current);
		slice_end = now + slice;
	}
}

static void set_alarm(const struct task *next)
{
	const struct list *equals = &ready[next->priority];
	uint64_t alarm = list_empty(&sleepers) ? SCHED_FOREVER : of_timer(sleepers.next)->wake;

	if (equals->next != equals->prev && slice_end < alarm)
		alarm = slice_end;
	port_alarm(alarm);
}

struct task *sched_next(void)
{
	uint64_t now = port_now();
	struct task *next;

	current->runtime += now - accounted;
	accounted = now;
	expire(now);
	next = of_link(ready[31 - __builtin_clz(ready_levels)].next);
	if (next != current) {
		next->switches++;
		slice_end = now + slice;
		current = next;
	}
	set_alarm(next);
	return next;
}

struct task *sched_current(void)
{
	return current;
}

void sched_each(void (*visit)(const struct task *task))
{
	for (struct list *at = everyone.next; at != &everyone; at = at->next)
		visit(container_of(at, struct task, all));
}

void task_yield(void)
{
	unsigned long flags = port_lock();

	dequeue(current);
	enqueue(current);
	port_switch();
	port_unlock(flags);
}

void task_sleep_until(uint64_t time)
{
	unsigned long flags = port_lock();

	dequeue(current);
	current->state = TASK_SLEEPING;
	sleep_until(current, time);
	port_switch();
	port_unlock(flags);
}

void task_exit(void)
{
	port_lock();
	dequeue(current);
	current->state = TASK_DEAD;
	for (;;)
		port_switch();
}

void semaphore_init(struct semaphore *semaphore, uint32_t count, uint32_t limit)
{
	list_init(&semaphore->waiters);
	semaphore->count = count;
	semaphore->limit = limit;
}

void semaphore_give(struct semaphore *semaphore)
{
	unsigned long flags = port_lock();

	if (list_empty(&semaphore->waiters)) {
		if (semaphore->count < semaphore->limit)
			semaphore->count++;
	} else {
		struct task *task = of_link(semaphore->waiters.next);

		wake(task, false);
		if (task->priority > current->priority)
			port_switch_soon();
	}
	port_unlock(flags);
}

bool semaphore_take(struct semaphore *semaphore, uint64_t deadline)
{
	unsigned long flags = port_lock();
	bool taken = semaphore->count > 0;

	if (taken) {
		semaphore->count--;
	} else {
		dequeue(current);
		current->state = TASK_WAITING;
		wait_in(&semaphore->waiters, current);
		sleep_until(current, deadline);
		port_switch();
		taken = !current->timed_out;
	}
	port_unlock(flags);
	return taken;
}

void mutex_init(struct mutex *mutex)
{
	list_init(&mutex->waiters);
	mutex->owner = NULL;
	mutex->next_held = NULL;
}

static void own(struct mutex *mutex, struct task *task)
{
	mutex->owner = task;
	mutex->next_held = task->held;
	task->held = mutex;
	task->blocked_on = NULL;
}

/* Change a task's priority wherever it is queued. */
static void set_priority(struct task *task, uint8_t priority)
{
	if (task->state == TASK_READY) {
		dequeue(task);
		task->priority = priority;
		enqueue(task);
	} else if (task->blocked_on) {
		list_remove(&task->link);
		task->priority = priority;
		wait_in(&task->blocked_on->waiters, task);
	} else {
		/* Asleep with a mutex, or at a semaphore: its place there was fair when it came. */
		task->priority = priority;
	}
}

void mutex_lock(struct mutex *mutex)
{
	unsigned long flags = port_lock();

	if (!mutex->owner) {
		own(mutex, current);
	} else {
		dequeue(current);
		current->state = TASK_WAITING;
		current->blocked_on = mutex;
		wait_in(&mutex->waiters, current);
		for (struct mutex *m = mutex; m; m = m->owner->blocked_on) {
			if (m->owner->priority >= current->priority)
				break;
			set_priority(m->owner, current->priority);
		}
		port_switch();
	}
	port_unlock(flags);
}

static void disown(struct mutex *mutex, struct task *task)
{
	struct mutex **at = &task->held;

	while (*at && *at != mutex)
		at = &(*at)->next_held;
	if (*at)
		*at = mutex->next_held;
	mutex->owner = NULL;
}

/* What the task has of its own or inherits through the mutexes that it still holds. */
static uint8_t due_priority(const struct task *task)
{
	uint8_t priority = task->base_priority;

	for (struct mutex *m = task->held; m; m = m->next_held) {
		if (!list_empty(&m->waiters) && of_link(m->waiters.next)->priority > priority)
			priority = of_link(m->waiters.next)->priority;
	}
	return priority;
}

void mutex_unlock(struct mutex *mutex)
{
	unsigned long flags = port_lock();
	struct task *heir = NULL;

	disown(mutex, current);
	if (!list_empty(&mutex->waiters)) {
		heir = of_link(mutex->waiters.next);
		own(mutex, heir);
		wake(heir, false);
		/* It may inherit from those who still wait for what it holds now. */
		set_priority(heir, due_priority(heir));
	}
	if (due_priority(current) != current->priority)
		set_priority(current, due_priority(current));
	if (heir && heir->priority > current->priority)
		port_switch();
	port_unlock(flags);
}
