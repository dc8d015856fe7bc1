/* SPDX-License-Identifier: MIT */
#include "mem.h"
#include "r5_0.h"
#include "test.h"

#define RPU_0		7
#define ROUNDS		200

static bool counting(void)
{
	uint32_t before = read32(R5_0_COUNT);
	uint64_t end = now_ms() + PATIENCE_MS;

	while (read32(R5_0_COUNT) == before) {
		if (now_ms() > end)
			return false;
	}
	return true;
}

static bool standing(void)
{
	uint32_t before;
	uint64_t end = now_ms() + 20;

	while (now_ms() < end)
		;
	before = read32(R5_0_COUNT);
	end = now_ms() + 20;
	while (now_ms() < end)
		;
	return read32(R5_0_COUNT) == before;
}

static uint32_t state(void)
{
	uint32_t out[3];

	eemi(3, RPU_0, 0, 0, 0, out);
	return out[0];
}

/* Starts right after stops are where a power controller that works later loses requests. */
static uint32_t restarts(void)
{
	uint32_t good = 0;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		uint32_t starts = read32(R5_0_STARTS);

		eemi(8, RPU_0, 2, 0, 0, NULL);
		good += eemi(10, RPU_0, 1, 0, 1, NULL) == 0 && becomes(R5_0_STARTS, ~0u, starts + 1, PATIENCE_MS);
	}
	return good;
}

void test_rpu(void)
{
	uint32_t vector;

	group("rpu");
	memset((void *)VB_ATCM_BASE, 0, VB_TCM_SIZE);
	memcpy((void *)VB_ATCM_BASE, images[R5_0].data, images[R5_0].bytes);
	barrier();
	vector = read32(VB_ATCM_BASE);
	check(standing(), "R5_0 is held in reset at first");
	check_equal(eemi(10, RPU_0, 1, 0, 1, NULL), 0, "REQUEST_WAKEUP starts R5_0");
	check(counting(), "its program runs");
	check_equal(read32(VB_ATCM_BASE), vector, "its reset vector is as it was loaded");
	check_equal(state(), 1, "GET_NODE_STATUS says running");
	check_equal(eemi(10, RPU_0, 1, 0, 1, NULL), 0, "REQUEST_WAKEUP of a running core is no error");
	check_equal(read32(R5_0_STARTS), 1, "and does not restart it");
	check_equal(eemi(8, RPU_0, 2, 0, 0, NULL), 0, "FORCE_POWERDOWN stops R5_0");
	check_equal(state(), 0, "GET_NODE_STATUS says off");
	check(standing(), "its program stands still");
	check_equal(eemi(8, RPU_0, 2, 0, 0, NULL), 0, "FORCE_POWERDOWN of a stopped core is no error");
	check_equal(restarts(), ROUNDS, "each of 200 immediate restarts takes effect once");
	eemi(8, RPU_0, 2, 0, 0, NULL);
}
