/* SPDX-License-Identifier: MIT */
#include "test.h"

#define NOT_SUPPORTED ((uint64_t)-1)

static const struct {
	uint64_t function, a, b, want;
	const char *text;
} cases[] = {
	{ 0x84000000, 0, 0, 0x10001, "VERSION is 1.1" },
	{ 0x8400000a, 0x84000000, 0, 0, "FEATURES knows VERSION" },
	{ 0x8400000a, 0xc4000003, 0, 0, "FEATURES knows CPU_ON of SMC64" },
	{ 0x8400000a, 0xc4000000, 0, NOT_SUPPORTED, "FEATURES refuses VERSION of SMC64" },
	{ 0x8400000a, 0x80000000, 0, 0, "FEATURES knows SMCCC_VERSION" },
	{ 0x8400000a, 0xc4000012, 0, NOT_SUPPORTED, "FEATURES refuses SYSTEM_RESET2" },
	{ 0x84000002, 0, 0, (uint64_t)-3, "CPU_OFF of the only core is denied" },
	{ 0xc4000003, 0, 0, (uint64_t)-4, "CPU_ON: core 0 is on already" },
	{ 0xc4000003, 1, 0, (uint64_t)-6, "CPU_ON: core 1 can't be started" },
	{ 0xc4000003, 2, 0, (uint64_t)-2, "CPU_ON: core 2 does not exist" },
	{ 0xc4000004, 0, 0, 0, "AFFINITY_INFO: core 0 is on" },
	{ 0xc4000004, 1, 0, 1, "AFFINITY_INFO: core 1 is off" },
	{ 0xc4000004, 2, 0, (uint64_t)-2, "AFFINITY_INFO: core 2 does not exist" },
	{ 0xc4000004, 0, 1, (uint64_t)-2, "AFFINITY_INFO: clusters have no state" },
	{ 0xc4000001, 1 << 16, 0, (uint64_t)-2, "CPU_SUSPEND: no state deeper than standby" },
	{ 0x84000006, 0, 0, 2, "MIGRATE_INFO_TYPE: nothing to migrate" },
	{ 0xc4000012, 0, 0, NOT_SUPPORTED, "SYSTEM_RESET2 is not supported" },
	{ 0x80000000, 0, 0, 0x10001, "SMCCC_VERSION is 1.1" },
	{ 0x80000001, 0x80000001, 0, 0, "SMCCC_ARCH_FEATURES knows itself" },
	{ 0x80000001, 0x80008000, 0, NOT_SUPPORTED, "SMCCC_ARCH_FEATURES refuses WORKAROUND_1" },
	{ 0x80008000, 0, 0, NOT_SUPPORTED, "an unknown architecture call is not supported" },
	{ 0xbf000000, 0, 0, NOT_SUPPORTED, "an unknown trusted OS call is not supported" },
	{ 0x8200ff03, 0, 0, 1, "the SiP service has revision 1" },
};

void test_psci(void)
{
	group("psci");
	for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_equal(smc(cases[i].function, cases[i].a, cases[i].b, 0), cases[i].want, cases[i].text);
	check_equal(smc_changes(0x84000000), 0, "a call leaves x4 to x18 alone");
	check_equal(smc_changes(0xc2000001), 0, "so does an EEMI call");
}
