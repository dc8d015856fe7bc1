/* SPDX-License-Identifier: MIT */
/*
 * PSCI 1.1 (Arm DEN 0022) for a board whose second A72 nothing can release: QEMU's model
 * offers no register for it outside its own PSCI.
 */
#include "el3.h"

#define PSCI_1_1		0x10001
#define SUCCESS			0
#define NOT_SUPPORTED		-1
#define INVALID_PARAMETERS	-2
#define DENIED			-3
#define ALREADY_ON		-4
#define INTERNAL_FAILURE	-6

#define AFFINITY_ON		0
#define AFFINITY_OFF		1
#define NO_MIGRATION		2	/* MIGRATE_INFO_TYPE: no trusted OS to migrate */
#define POWER_STATE_DOWN	(1u << 16)

#define SMC64			0x40000000u
#define SMCCC_VERSION		0x80000000u

struct psci_function {
	uint32_t id;	/* of the SMC32 form */
	bool smc64;	/* has an SMC64 form too */
	int64_t (*handler)(const uint64_t *x);
};

static int64_t features(const uint64_t *x);

static int64_t version(const uint64_t *x)
{
	(void)x;
	return PSCI_1_1;
}

static int64_t cpu_suspend(const uint64_t *x)
{
	if (x[1] & POWER_STATE_DOWN)
		return INVALID_PARAMETERS;
	barrier();
	__asm__ volatile("wfi");
	return SUCCESS;
}

static int64_t cpu_off(const uint64_t *x)
{
	(void)x;
	return DENIED;
}

static int64_t cpu_on(const uint64_t *x)
{
	switch (x[1]) {
	case 0:
		return ALREADY_ON;
	case 1:
		return INTERNAL_FAILURE;
	default:
		return INVALID_PARAMETERS;
	}
}

static int64_t affinity_info(const uint64_t *x)
{
	if (x[2] != 0 || x[1] > 1)
		return INVALID_PARAMETERS;
	return x[1] == 0 ? AFFINITY_ON : AFFINITY_OFF;
}

static int64_t migrate_info_type(const uint64_t *x)
{
	(void)x;
	return NO_MIGRATION;
}

static int64_t system_off(const uint64_t *x)
{
	(void)x;
	semihosting_exit(EXIT_OFF);
}

static int64_t system_reset(const uint64_t *x)
{
	(void)x;
	semihosting_exit(EXIT_RESET);
}

static const struct psci_function functions[] = {
	{ 0x84000000, false, version },			/* 5.3: version of PSCI */
	{ 0x84000001, true, cpu_suspend },		/* 5.4: standby; deeper states do not exist */
	{ 0x84000002, false, cpu_off },			/* 5.5: the only core can't go off */
	{ 0x84000003, true, cpu_on },			/* 5.6: core 0 is on, core 1 can't be started */
	{ 0x84000004, true, affinity_info },		/* 5.7: whether a core is on */
	{ 0x84000006, false, migrate_info_type },	/* 5.9: there is no trusted OS */
	{ 0x84000008, false, system_off },		/* 5.10: ends the emulator, status 0 */
	{ 0x84000009, false, system_reset },		/* 5.11: ends the emulator, status 64 */
	{ 0x8400000a, false, features },		/* 5.15: whether a function exists */
};

static const struct psci_function *find(uint32_t id)
{
	for (unsigned int i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		if (functions[i].id == (id & ~SMC64) && (functions[i].smc64 || !(id & SMC64)))
			return &functions[i];
	}
	return 0;
}

static int64_t features(const uint64_t *x)
{
	if ((uint32_t)x[1] == SMCCC_VERSION)
		return SUCCESS;
	return find((uint32_t)x[1]) ? 0 : NOT_SUPPORTED;
}

bool psci_call(uint64_t *x)
{
	const struct psci_function *function = find((uint32_t)x[0]);

	if (!function)
		return false;
	x[0] = (uint64_t)function->handler(x);
	return true;
}
