/* SPDX-License-Identifier: MIT */
/*
 * The static design: the program of R5_1. It gives every slot its turn, makes
 * decouplers and interrupt lines work, and serves EL3's requests.
 */
#include <stdbool.h>
#include <stddef.h>

#include "mpu.h"
#include "pl.h"
#include "plctl.h"
#include "shell.h"

#define WINDOW_WORDS	(VB_REGS_SIZE / 4)
#define DEAD_WORDS	64	/* of a dead window, put right a turn */

/* ADMA channel registers (UG1087, ADMA_CHn) */
#define ADMA_ISR	0x100
#define ADMA_IEN	0x108
#define ADMA_CTRL0	0x110
#define ADMA_SRC	0x128
#define ADMA_DST	0x138
#define ADMA_CTRL2	0x200
#define ADMA_ISR_ALL	0xfff
#define ADMA_DMA_DONE	(1u << 10)
#define ADMA_ENABLE	1u

struct pl_fault {
	uint32_t kind;
	uint32_t pc;
};

struct slot {
	const struct pl_design *design;	/* NULL: empty */
	uint32_t state;
	bool decoupled;
	uint32_t next_dead;		/* word of the window to look at next */
};

static struct slot slots[VB_NUM_SLOTS];

uint32_t guarded_call(uint32_t (*f)(uint32_t), uint32_t argument, struct pl_fault *fault);
void shell_main(void);

static volatile uint32_t *word(uint32_t address)
{
	return (volatile uint32_t *)address;
}

static volatile uint32_t *ctl(uint32_t offset)
{
	return word(VB_EL3_SHELL_BASE + offset);
}

static volatile uint32_t *about(uint32_t n)
{
	return word(VB_SHELL_REGS_BASE) + SHELL_REG_SLOT(n);
}

static volatile uint32_t *adma(uint32_t n, uint32_t offset)
{
	return word(VB_ADMA_BASE + (VB_ADMA_CHANNEL_SLOT0 + n) * VB_ADMA_STRIDE + offset);
}

static void interrupt_init(uint32_t n)
{
	uint32_t scratch = VB_EL3_SHELL_BASE + PLCTL_DMA_WORD + 4 * n;

	*adma(n, ADMA_ISR) = ADMA_ISR_ALL;
	*adma(n, ADMA_CTRL0) = 0;
	for (uint32_t side = ADMA_SRC; side <= ADMA_DST; side += ADMA_DST - ADMA_SRC) {
		*adma(n, side + 0x0) = scratch;
		*adma(n, side + 0x4) = 0;
		*adma(n, side + 0x8) = 4;
		*adma(n, side + 0xc) = 0;
	}
	*adma(n, ADMA_IEN) = ADMA_DMA_DONE;
}

/* One rising edge: the line falls with the old DMA_DONE, and rises with the new one. */
static void interrupt_raise(uint32_t n)
{
	pl_barrier();
	*adma(n, ADMA_ISR) = ADMA_ISR_ALL;
	*adma(n, ADMA_CTRL2) = ADMA_ENABLE;
}

static void set_state(uint32_t n, uint32_t state)
{
	slots[n].state = state;
	about(n)[SHELL_SLOT_STATE] = state | (slots[n].decoupled ? SHELL_DECOUPLED : 0);
}

static void fill_window(uint32_t n, uint32_t value)
{
	for (uint32_t i = 0; i < WINDOW_WORDS; i++)
		pl_regs(n)[i] = value;
	pl_barrier();
}

/* The window is memory: what is written to a dead one has to be put right again. */
static void keep_dead(uint32_t n)
{
	struct slot *s = &slots[n];

	for (uint32_t i = s->next_dead; i < s->next_dead + DEAD_WORDS; i++) {
		if (pl_regs(n)[i] != PL_DEAD)
			pl_regs(n)[i] = PL_DEAD;
	}
	s->next_dead = (s->next_dead + DEAD_WORDS) % WINDOW_WORDS;
}

static uint32_t run(uint32_t n, uint32_t (*f)(uint32_t))
{
	struct pl_fault fault;
	uint32_t result = guarded_call(f, n, &fault);

	if (fault.kind == 0)
		return result;
	about(n)[SHELL_SLOT_FAULT] = fault.kind;
	about(n)[SHELL_SLOT_FAULT_PC] = fault.pc;
	fill_window(n, PL_DEAD);
	set_state(n, SHELL_STATE_FAULTED);
	return 0;
}

static uint32_t call_init(uint32_t n)
{
	slots[n].design->init(n);
	return 0;
}

static void isolate(uint32_t n)
{
	struct slot *s = &slots[n];

	s->decoupled = true;
	fill_window(n, PL_DEAD);
	*adma(n, ADMA_ISR) = ADMA_ISR_ALL;
	set_state(n, s->design ? SHELL_STATE_ISOLATED : SHELL_STATE_EMPTY);
}

static void connect(uint32_t n)
{
	struct slot *s = &slots[n];

	s->decoupled = false;
	set_state(n, s->design ? SHELL_STATE_RUNNING : SHELL_STATE_EMPTY);
	if (!s->design)
		return;
	fill_window(n, 0);
	run(n, call_init);
}

static void turn(uint32_t n)
{
	struct slot *s = &slots[n];
	bool decoupled = *word(VB_DECOUPLER_BASE + n * VB_REGS_SIZE) & 1;

	if (decoupled && !s->decoupled)
		isolate(n);
	else if (!decoupled && s->decoupled)
		connect(n);
	if (s->state != SHELL_STATE_RUNNING)
		keep_dead(n);
	else if (run(n, s->design->step) & PL_STEP_INTERRUPT)
		interrupt_raise(n);
}

static void describe(uint32_t n, uint32_t version, const volatile uint32_t *name)
{
	about(n)[SHELL_SLOT_VERSION] = version;
	for (uint32_t i = 0; i < 8; i++)
		about(n)[SHELL_SLOT_NAME + i] = name ? name[i] : 0;
}

static uint32_t empty(uint32_t n)
{
	slots[n].design = NULL;
	describe(n, 0, NULL);
	set_state(n, SHELL_STATE_EMPTY);
	return PLCTL_OK;
}

static bool in_slot(uint32_t n, uint32_t address)
{
	return address - (VB_SLOT_CODE_BASE + n * VB_SLOT_CODE_SIZE) < VB_SLOT_CODE_SIZE;
}

static uint32_t install(uint32_t n)
{
	const struct pl_design *design = (const struct pl_design *)*ctl(PLCTL_REQ_ENTRY);

	if (design->magic != PL_DESIGN_MAGIC || design->abi != PL_DESIGN_ABI ||
	    !in_slot(n, (uint32_t)design->init) || !in_slot(n, (uint32_t)design->step))
		return PLCTL_BAD_DESIGN;
	/* ICIALLU: EL3 has just written this code. */
	__asm__ volatile("mcr p15, 0, %0, c7, c5, 0; dsb sy; isb" :: "r"(0) : "memory");
	slots[n].design = design;
	about(n)[SHELL_SLOT_LOADS] += 1;
	about(n)[SHELL_SLOT_FAULT] = 0;
	about(n)[SHELL_SLOT_FAULT_PC] = 0;
	describe(n, *ctl(PLCTL_REQ_VERSION), ctl(PLCTL_REQ_NAME));
	set_state(n, SHELL_STATE_ISOLATED);
	return PLCTL_OK;
}

static uint32_t serve(uint32_t op, uint32_t n)
{
	if (n >= VB_NUM_SLOTS)
		return PLCTL_BAD_REQUEST;
	turn(n);	/* so that a decoupler engaged just now has been seen */
	if (!slots[n].decoupled)
		return PLCTL_NOT_ISOLATED;
	if (op == PLCTL_OP_EMPTY)
		return empty(n);
	if (op == PLCTL_OP_INSTALL)
		return install(n);
	return PLCTL_BAD_REQUEST;
}

static void serve_request(void)
{
	uint32_t sequence = *ctl(PLCTL_REQ_SEQ);

	if (sequence == *ctl(PLCTL_REQ_ACK))
		return;
	pl_barrier();
	*ctl(PLCTL_REQ_RESULT) = serve(*ctl(PLCTL_REQ_OP), *ctl(PLCTL_REQ_SLOT));
	pl_barrier();
	*ctl(PLCTL_REQ_ACK) = sequence;
}

void shell_main(void)
{
	volatile uint32_t *regs = word(VB_SHELL_REGS_BASE);

	mpu_enable();
	for (uint32_t i = 0; i < WINDOW_WORDS; i++)
		regs[i] = 0;
	regs[SHELL_REG_ID] = PL_SHELL_ID;
	regs[SHELL_REG_VERSION] = PL_SHELL_VERSION;
	regs[SHELL_REG_SLOTS] = VB_NUM_SLOTS;
	for (uint32_t n = 0; n < VB_NUM_SLOTS; n++) {
		interrupt_init(n);
		isolate(n);
	}
	pl_barrier();
	*ctl(PLCTL_ALIVE) = *ctl(PLCTL_TOKEN);
	for (;;) {
		serve_request();
		for (uint32_t n = 0; n < VB_NUM_SLOTS; n++)
			turn(n);
		regs[SHELL_REG_BEAT] += 1;
		__asm__ volatile("yield");
	}
}
