/* SPDX-License-Identifier: MIT */
/* sched_test NAME: run one scenario on the kernel's own scheduler, print what the tasks log. */
#include <stdbool.h>
#include <string.h>

#include "check.h"
#include "sched.h"

#define STACK		65536
#define MAX		8
#define TICK		1000	/* ticks that work() takes for one unit */

static uint64_t now, alarm_at = SCHED_FOREVER;
static struct task tasks[MAX], idle;
static char stacks[MAX + 1][STACK];
static int used;
static struct semaphore semaphore;
static struct mutex a, b;

unsigned long port_lock(void)
{
	return 0;
}

void port_unlock(unsigned long flags)
{
	(void)flags;
}

uint64_t port_now(void)
{
	return now;
}

void port_alarm(uint64_t time)
{
	alarm_at = time;
}

void port_switch(void)
{
	struct task *from = sched_current(), *to = sched_next();

	if (to != from)
		swapcontext(&from->context.ucontext, &to->context.ucontext);
}

void port_switch_soon(void)
{
	port_switch();
}

/* Compute for some time: the alarm interrupts, as on the machine. */
static void work(unsigned int units)
{
	while (units--) {
		now += TICK;
		if (now >= alarm_at)
			port_switch();
	}
}

static void say(const char *what)
{
	printf("%llu %s %s\n", (unsigned long long)(now / TICK), sched_current()->name, what);
}

static void begin(struct task *task, char *stack, void (*function)(void))
{
	CHECK(getcontext(&task->context.ucontext) == 0);
	task->context.ucontext.uc_stack.ss_sp = stack;
	task->context.ucontext.uc_stack.ss_size = STACK;
	makecontext(&task->context.ucontext, function, 0);
}

static void idle_loop(void)
{
	for (;;) {
		if (alarm_at == SCHED_FOREVER)
			exit(0);
		now = alarm_at > now ? alarm_at : now;
		port_switch();
	}
}

static void start(const char *name, unsigned int priority, void (*function)(void))
{
	CHECK(used < MAX);
	begin(&tasks[used], stacks[used], function);
	sched_add(&tasks[used++], name, priority);
}

static void sleeper(void)
{
	for (int i = 1; i <= 3; i++) {
		task_sleep_until((uint64_t)i * 10 * TICK);
		say("woke");
	}
	task_exit();
}

static void busy(void)
{
	say("begins");
	work(25);
	say("ends");
	task_exit();
}

static void preemption(void)
{
	start("low", 1, busy);
	start("high", 5, sleeper);
}

static void turns(void)
{
	start("one", 3, busy);
	start("two", 3, busy);
}

static void taker(void)
{
	say(semaphore_take(&semaphore, 5 * TICK) ? "took" : "timed out");
	say(semaphore_take(&semaphore, SCHED_FOREVER) ? "took" : "timed out");
	task_exit();
}

static void giver(void)
{
	task_sleep_until(8 * TICK);
	semaphore_give(&semaphore);
	say("gave");
	semaphore_give(&semaphore);
	semaphore_give(&semaphore);
	semaphore_give(&semaphore);
	CHECK(semaphore.count == 2);
	task_exit();
}

static void timeouts(void)
{
	semaphore_init(&semaphore, 0, 2);
	start("taker", 5, taker);
	start("giver", 3, giver);
}

static void waits(void)
{
	semaphore_take(&semaphore, SCHED_FOREVER);
	say("took");
	task_exit();
}

static void gives_thrice(void)
{
	for (int i = 0; i < 3; i++)
		semaphore_give(&semaphore);
	task_exit();
}

/* Waiters are served by urgency, then in the order they came. */
static void order(void)
{
	semaphore_init(&semaphore, 0, 9);
	start("first5", 5, waits);
	start("six", 6, waits);
	start("second5", 5, waits);
	start("giver", 1, gives_thrice);
}

static void holder(void)
{
	mutex_lock(&a);
	say("locked");
	work(10);
	say("unlocks");
	mutex_unlock(&a);
	say("goes on");
	CHECK(sched_current()->priority == 1);
	task_exit();
}

static void urgent(void)
{
	task_sleep_until(2 * TICK);
	mutex_lock(&a);
	say("locked");
	mutex_unlock(&a);
	task_exit();
}

static void between(void)
{
	task_sleep_until(3 * TICK);
	say("begins");
	work(20);
	say("ends");
	task_exit();
}

/* Without inheritance "between" would keep "urgent" from its mutex for its 20 units. */
static void inheritance(void)
{
	mutex_init(&a);
	start("holder", 1, holder);
	start("between", 5, between);
	start("urgent", 9, urgent);
}

static void middle(void)
{
	task_sleep_until(1 * TICK);
	mutex_lock(&b);
	mutex_lock(&a);
	say("locked both");
	mutex_unlock(&a);
	CHECK(sched_current()->priority == 9);
	mutex_unlock(&b);
	say("unlocked both");
	CHECK(sched_current()->priority == 3);
	task_exit();
}

static void top(void)
{
	task_sleep_until(2 * TICK);
	mutex_lock(&b);
	say("locked");
	mutex_unlock(&b);
	task_exit();
}

/* Urgency goes down a chain of holders: top waits for middle, middle for holder. */
static void chain(void)
{
	mutex_init(&a);
	mutex_init(&b);
	start("holder", 1, holder);
	start("middle", 3, middle);
	start("between", 5, between);
	start("top", 9, top);
}

static const struct {
	const char *name;
	void (*set_up)(void);
} scenarios[] = {
	{ "preemption", preemption }, { "turns", turns }, { "timeouts", timeouts },
	{ "order", order }, { "inheritance", inheritance }, { "chain", chain },
};

int main(int argc, char **argv)
{
	ucontext_t here;

	begin(&idle, stacks[MAX], idle_loop);
	/* A slice of SCHED_SLICE_US is ten units. */
	sched_init(&idle, TICK * 10 * (1000000 / SCHED_SLICE_US));
	for (size_t i = 0; argc == 2 && i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		if (strcmp(argv[1], scenarios[i].name) != 0)
			continue;
		scenarios[i].set_up();
		swapcontext(&here, &sched_next()->context.ucontext);
	}
	return 2;
}
