/* SPDX-License-Identifier: MIT */
/*
 * The board's firmware at EL3: sets the machine up for non-secure EL2 and
 * then only answers SMCs. It runs on the one A72, interrupts masked, MMU off.
 */
#include "el3.h"
#include "vboard.h"

/* GICv3 (Arm IHI 0069) */
#define GICD_CTLR		(VB_GICD_BASE + 0x0000)
#define GICD_IGROUPR(n)		(VB_GICD_BASE + 0x0080 + 4 * (n))
#define GICD_IGRPMODR(n)	(VB_GICD_BASE + 0x0d00 + 4 * (n))
#define GICR_WAKER		(VB_GICR_BASE + 0x0014)
#define GICR_IGROUPR0		(VB_GICR_BASE + 0x10080)
#define GICR_IGRPMODR0		(VB_GICR_BASE + 0x10d00)

#define CTLR_ARE		(1 << 5 | 1 << 4)		/* both security states */
#define CTLR_ENABLE_ALL		(1 << 2 | 1 << 1 | 1 << 0)	/* group 1 S, group 1 NS, group 0 */
#define WAKER_PROCESSOR_SLEEP	(1 << 1)
#define WAKER_CHILDREN_ASLEEP	(1 << 2)
#define SPI_WORDS		6				/* 192 interrupts in QEMU's model */

/* SMCCC (Arm DEN 0028) */
#define SMCCC_VERSION		0x80000000u
#define SMCCC_ARCH_FEATURES	0x80000001u
#define SMCCC_1_1		0x10001
#define SMCCC_NOT_SUPPORTED	((uint64_t)-1)
#define SIP_CALL_COUNT		0x8200ff00u
#define SIP_CALL_UID		0x8200ff01u
#define SIP_REVISION		0x8200ff03u
#define SIP_IPI			0x82001000u	/* .. 0x820010ff */
#define SIP_EEMI		0xc2000000u	/* .. 0xc200ffff */

uint64_t deadline_ms(uint32_t ms)
{
	uint64_t frequency, now;

	__asm__ volatile("mrs %0, cntfrq_el0" : "=r"(frequency));
	__asm__ volatile("isb; mrs %0, cntpct_el0" : "=r"(now));
	return now + frequency / 1000 * ms;
}

bool passed(uint64_t deadline)
{
	uint64_t now;

	__asm__ volatile("isb; mrs %0, cntpct_el0" : "=r"(now));
	return now >= deadline;
}

bool await_word(uint64_t address, uint32_t value, uint32_t ms)
{
	uint64_t deadline = deadline_ms(ms);
	bool late = false;

	/* The last look comes after the deadline: this core too may have been kept waiting. */
	while (read32(address) != value) {
		if (late)
			return false;
		late = passed(deadline);
		__asm__ volatile("yield");
	}
	barrier();
	return true;
}

/* Every interrupt belongs to non-secure group 1: EL3 takes none. */
static void gic_init(void)
{
	write32(GICD_CTLR, 0);
	write32(GICD_CTLR, CTLR_ARE);
	for (unsigned int n = 1; n < SPI_WORDS; n++) {
		write32(GICD_IGROUPR(n), ~0u);
		write32(GICD_IGRPMODR(n), 0);
	}
	write32(GICR_WAKER, read32(GICR_WAKER) & ~WAKER_PROCESSOR_SLEEP);
	while (read32(GICR_WAKER) & WAKER_CHILDREN_ASLEEP)
		;
	write32(GICR_IGROUPR0, ~0u);
	write32(GICR_IGRPMODR0, 0);
	write32(GICD_CTLR, CTLR_ARE | CTLR_ENABLE_ALL);
}

void el3_init(void)
{
	console_init();
	gic_init();
	rpu_hold(RPU_0);
	rpu_hold(RPU_1);
	ipi_reset();
	fpga_init();
	put_text("EL3: virtual board, PSCI 1.1, EEMI 1.1, programmable logic empty\n");
}

_Noreturn void el3_panic(uint64_t esr, uint64_t elr, uint64_t far)
{
	put_text("EL3: panic: unexpected exception, ESR ");
	put_hex(esr);
	put_text(", ELR ");
	put_hex(elr);
	put_text(", FAR ");
	put_hex(far);
	put_text("\n");
	semihosting_exit(EXIT_PANIC);
}

/* The calls about calls: SMCCC 7.2 onwards, and 6.2 for the SiP range, which Xen forwards. */
static bool smccc_call(uint64_t *x)
{
	switch ((uint32_t)x[0]) {
	case SMCCC_VERSION:
		x[0] = SMCCC_1_1;
		return true;
	case SMCCC_ARCH_FEATURES:
		x[0] = (uint32_t)x[1] <= SMCCC_ARCH_FEATURES && (uint32_t)x[1] >= SMCCC_VERSION ?
			       0 : SMCCC_NOT_SUPPORTED;
		return true;
	case SIP_CALL_COUNT:
		x[0] = eemi_call_count();
		return true;
	case SIP_CALL_UID:	/* a random UUID: 0f0c93f2-5d5e-4c1b-9a51-7c2d1ee0b70a */
		x[0] = 0xf2930c0f;
		x[1] = 0x1b4c5e5d;
		x[2] = 0x2d7c519a;
		x[3] = 0x0ab7e01e;
		return true;
	case SIP_REVISION:
		x[0] = 1;
		x[1] = 0;
		return true;
	default:
		return false;
	}
}

void smc_handler(uint64_t *x)
{
	uint32_t function = (uint32_t)x[0];

	if ((function & 0xffff0000) == SIP_EEMI) {
		eemi_call(x);
		return;
	}
	if ((function & 0xffffff00) == SIP_IPI && ipi_call(x))
		return;
	if (psci_call(x) || smccc_call(x))
		return;
	x[0] = SMCCC_NOT_SUPPORTED;
}
