/* SPDX-License-Identifier: MIT */
/*
 * Reset of the Cortex-R5F cores, CRL RST_CPU_R5 (Versal register reference, AM012): bit n holds
 * core n. Both start at address 0, so to start one elsewhere the word there is borrowed.
 *
 * QEMU changes a core's power state later, in the core's own thread, and drops a release while
 * the preceding assert is still on its way. Hence the stub: a start is repeated until the stub
 * answers. One answer could still come from a core about to be switched off, because the
 * pending assert takes effect at the end of the stub's loop; a second answer can't.
 * The vector is written at each attempt: QEMU may keep a translation of the old word if the
 * core ran at address 0 just when it was replaced.
 */
#include "el3.h"
#include "plctl.h"
#include "vboard.h"

#define CTL(offset)		(VB_EL3_SHELL_BASE + (offset))
#define FIRST_ATTEMPT_MS	10		/* each further one is twice as long, up to */
#define LAST_ATTEMPT_MS		640
#define A32_BRANCH		0xea000000u	/* b, from address 0 */

static uint32_t next_ping = 1;

static void set_reset(unsigned int core, bool held)
{
	uint32_t bit = 1u << core;
	uint32_t value = read32(VB_CRL_RST_CPU_R5);

	barrier();
	write32(VB_CRL_RST_CPU_R5, held ? value | bit : value & ~bit);
	barrier();
}

void rpu_hold(unsigned int core)
{
	set_reset(core, true);
}

bool rpu_running(unsigned int core)
{
	return !(read32(VB_CRL_RST_CPU_R5) & 1u << core);
}

static bool answers(uint32_t ms)
{
	write32(CTL(PLCTL_PING), next_ping);
	return await_word(CTL(PLCTL_ECHO), next_ping++, ms);
}

bool rpu_begin(unsigned int core)
{
	uint32_t borrowed = read32(VB_ATCM_BASE);
	uint64_t deadline = deadline_ms(START_TIMEOUT_MS);
	uint32_t ms = FIRST_ATTEMPT_MS;
	bool up;

	write32(CTL(PLCTL_GO), 0);
	do {
		set_reset(core, true);
		write32(VB_ATCM_BASE, A32_BRANCH | ((uint32_t)(uintptr_t)r5_stub - 8) / 4);
		set_reset(core, false);
		up = answers(ms) && answers(ms);
		if (ms < LAST_ATTEMPT_MS)
			ms *= 2;
	} while (!up && !passed(deadline));
	if (!up)
		set_reset(core, true);
	write32(VB_ATCM_BASE, borrowed);
	barrier();
	return up;
}

bool rpu_go(unsigned int core, uint32_t address)
{
	write32(CTL(PLCTL_GO_ADDR), address);
	barrier();
	write32(CTL(PLCTL_GO), 1);
	if (await_word(CTL(PLCTL_ECHO), PLCTL_GONE, START_TIMEOUT_MS))
		return true;
	set_reset(core, true);
	return false;
}
