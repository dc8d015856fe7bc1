/* SPDX-License-Identifier: MIT */
#include "test.h"

#define UARTDR		VB_UART0_BASE
#define UARTFR		(VB_UART0_BASE + 0x18)
#define FR_TXFF		(1 << 5)

/* What to do, put there by the harness; the memory is zero otherwise. */
#define MODE		0x06000000ul
#define MODE_ALL	0
#define MODE_PSCI_RESET	1
#define MODE_EEMI_RESET	2
#define MODE_SMALL_RAM	3	/* -m 1G */

void test_main(void);
_Noreturn void test_exception(uint64_t esr, uint64_t elr, uint64_t far);

static const char *current_group;
static uint32_t failures;

static void put(const char *text)
{
	for (; *text != '\0'; text++) {
		while (read32(UARTFR) & FR_TXFF)
			;
		write32(UARTDR, (uint8_t)*text);
	}
}

static void put_hex(uint64_t value)
{
	char digits[17];
	char *p = digits + 16;

	*p = '\0';
	do {
		*--p = "0123456789abcdef"[value & 15];
		value >>= 4;
	} while (value != 0);
	put("0x");
	put(p);
}

void group(const char *name)
{
	current_group = name;
}

static void result(bool ok, const char *text)
{
	put(ok ? "ok - " : "not ok - ");
	put(current_group);
	put(": ");
	put(text);
	failures += !ok;
}

void check(bool ok, const char *text)
{
	result(ok, text);
	put("\n");
}

void check_equal(uint64_t got, uint64_t want, const char *text)
{
	result(got == want, text);
	if (got != want) {
		put(" # got ");
		put_hex(got);
		put(", want ");
		put_hex(want);
	}
	put("\n");
}

_Noreturn void test_exception(uint64_t esr, uint64_t elr, uint64_t far)
{
	put("Bail out! exception at EL2: ESR ");
	put_hex(esr);
	put(", ELR ");
	put_hex(elr);
	put(", FAR ");
	put_hex(far);
	put("\n");
	semihosting_exit(2);
}

uint64_t smc(uint64_t function, uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t x[8] = { function, a, b, c };

	smc_raw(x);
	return x[0];
}

uint32_t eemi(uint32_t id, uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t *out)
{
	uint64_t x[8] = { 0xc2000000u | id, (uint64_t)a1 << 32 | a0, (uint64_t)a3 << 32 | a2 };

	smc_raw(x);
	if (out) {
		out[0] = (uint32_t)(x[0] >> 32);
		out[1] = (uint32_t)x[1];
		out[2] = (uint32_t)(x[1] >> 32);
	}
	return (uint32_t)x[0];
}

uint64_t now_ms(void)
{
	uint64_t frequency, now;

	__asm__ volatile("mrs %0, cntfrq_el0" : "=r"(frequency));
	__asm__ volatile("isb; mrs %0, cntpct_el0" : "=r"(now));
	return now / (frequency / 1000);
}

bool becomes(uint64_t address, uint32_t mask, uint32_t value, uint32_t ms)
{
	uint64_t end = now_ms() + ms;

	while ((read32(address) & mask) != value) {
		if (now_ms() > end)
			return false;
		__asm__ volatile("yield");
	}
	barrier();
	return true;
}

static void all(void)
{
	gic_init();
	test_psci();
	test_eemi();
	test_rpu();
	test_ipi();
	test_without_shell();
	test_full();
	test_refusals();
	test_accelerators();
	test_slots();
	test_faults();
}

void test_main(void)
{
	group("mode");
	switch (read32(MODE)) {
	case MODE_ALL:
		all();
		break;
	case MODE_PSCI_RESET:
		smc(0x84000009, 0, 0, 0);
		check(false, "SYSTEM_RESET does not return");
		break;
	case MODE_EEMI_RESET:
		eemi(12, 1, 0, 0, 0, NULL);
		check(false, "SYSTEM_SHUTDOWN does not return");
		break;
	case MODE_SMALL_RAM:
		check_equal(eemi(22, 0x50000000, 0, 0x1000, FULL, NULL), 2002,
			    "a file where no memory is has no access");
		check_equal(eemi(22, 0x40000000 - 0x1000, 0, 0x2000, FULL, NULL), 2002,
			    "nor one that ends there");
		break;
	default:
		check(false, "unknown mode");
	}
	put(failures ? "# some checks failed\n" : "# all checks passed\n");
	if (failures)
		semihosting_exit(1);
	smc(0x84000008, 0, 0, 0);
	semihosting_exit(3);
}
