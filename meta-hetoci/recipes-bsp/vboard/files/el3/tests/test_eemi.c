/* SPDX-License-Identifier: MIT */
#include "test.h"

#define SUCCESS		0
#define FAILURE		1
#define INVALID_PARAM	15
#define NO_FEATURE	19
#define NO_ACCESS	2002
#define INVALID_NODE	2003
#define DOUBLE_REQ	2004
#define ANY		0xfefefefe	/* first result does not matter */

static const struct {
	uint32_t id, a0, a1, a2, status, out;
	const char *text;
} cases[] = {
	{ 1, 0, 0, 0, SUCCESS, 0x10001, "GET_API_VERSION is 1.1" },
	{ 0xa03, 0, 0, 0, SUCCESS, 0x10000, "GET_TRUSTZONE_VERSION is 1.0" },
	{ 24, 0, 0, 0, SUCCESS, VB_PL_IDCODE, "GET_CHIPID gives the part's idcode" },
	{ 63, 63, 0, 0, SUCCESS, 2, "FEATURE_CHECK of itself is 2" },
	{ 63, 3, 0, 0, SUCCESS, 2, "FEATURE_CHECK of GET_NODE_STATUS is 2" },
	{ 63, 22, 0, 0, SUCCESS, 1, "FEATURE_CHECK of FPGA_LOAD is 1" },
	{ 63, 35, 0, 0, NO_FEATURE, ANY, "FEATURE_CHECK of QUERY_DATA: no feature" },
	{ 35, 0, 0, 0, NO_FEATURE, ANY, "QUERY_DATA: no feature" },
	{ 0x701, 0, 0, 0, NO_FEATURE, ANY, "a call of another module: no feature" },
	{ 21, 0, 0, 0, SUCCESS, ANY, "INIT_FINALIZE" },
	{ 15, 15, 1, 0, NO_ACCESS, ANY, "SET_REQUIREMENT of a device not requested" },
	{ 14, 15, 0, 0, FAILURE, ANY, "RELEASE_NODE of a device not requested" },
	{ 3, 15, 0, 0, SUCCESS, 0, "GET_NODE_STATUS of TCM before the request" },
	{ 13, 15, 1, 0, SUCCESS, ANY, "REQUEST_NODE of TCM" },
	{ 13, 15, 1, 0, DOUBLE_REQ, ANY, "REQUEST_NODE of TCM again" },
	{ 3, 15, 0, 0, SUCCESS, 1, "GET_NODE_STATUS of TCM after the request" },
	{ 15, 15, 1, 100, SUCCESS, ANY, "SET_REQUIREMENT of a requested device" },
	{ 15, 15, 0x10, 0, INVALID_PARAM, ANY, "SET_REQUIREMENT of an unknown capability" },
	{ 14, 15, 0, 0, SUCCESS, ANY, "RELEASE_NODE of TCM" },
	{ 13, 99, 1, 0, INVALID_NODE, ANY, "REQUEST_NODE of an unknown node" },
	{ 13, 7, 1, 0, INVALID_NODE, ANY, "REQUEST_NODE of a processor" },
	{ 13, 34, 1, 0, NO_ACCESS, ANY, "REQUEST_NODE of EL3's UART" },
	{ 3, 99, 0, 0, INVALID_NODE, ANY, "GET_NODE_STATUS of an unknown node" },
	{ 3, 7, 0, 0, SUCCESS, 0, "GET_NODE_STATUS of R5_0: off" },
	{ 8, 99, 2, 0, INVALID_NODE, ANY, "FORCE_POWERDOWN of an unknown node" },
	{ 8, 2, 2, 0, NO_ACCESS, ANY, "FORCE_POWERDOWN of the caller" },
	{ 8, 8, 2, 0, NO_ACCESS, ANY, "FORCE_POWERDOWN of R5_1" },
	{ 8, 15, 2, 0, INVALID_NODE, ANY, "FORCE_POWERDOWN of a device" },
	{ 10, 8, 1, 0, NO_ACCESS, ANY, "REQUEST_WAKEUP of R5_1" },
	{ 10, 99, 1, 0, INVALID_NODE, ANY, "REQUEST_WAKEUP of an unknown node" },
	{ 10, 7, 0xffff0001, 0, NO_ACCESS, ANY, "REQUEST_WAKEUP elsewhere than 0x0" },
	{ 10, 7, 1, 1, NO_ACCESS, ANY, "REQUEST_WAKEUP above 4 GiB" },
	{ 34, 7, 0, 0, SUCCESS, 0, "IOCTL: the R5s are a lockstep pair" },
	{ 34, 7, 1, 1, SUCCESS, ANY, "IOCTL: split mode is noted" },
	{ 34, 7, 0, 0, SUCCESS, 1, "IOCTL: split mode is reported" },
	{ 34, 7, 1, 0, SUCCESS, ANY, "IOCTL: lockstep mode is noted" },
	{ 34, 7, 1, 2, INVALID_PARAM, ANY, "IOCTL: no third mode" },
	{ 34, 8, 1, 0, NO_ACCESS, ANY, "IOCTL: R5_1 has no mode" },
	{ 34, 7, 3, 1, SUCCESS, ANY, "IOCTL: TCM mode" },
	{ 34, 7, 2, 0, SUCCESS, ANY, "IOCTL: boot at LOVEC" },
	{ 34, 7, 2, 1, NO_ACCESS, ANY, "IOCTL: no boot at HIVEC" },
	{ 34, 0, 13, 4, INVALID_PARAM, ANY, "IOCTL: no fifth storage register" },
	{ 34, 0, 17, 1, SUCCESS, ANY, "IOCTL: boot health" },
	{ 34, 0, 99, 0, NO_FEATURE, ANY, "IOCTL: an unknown one" },
	{ 12, 3, 0, 0, INVALID_PARAM, ANY, "SYSTEM_SHUTDOWN of an unknown type" },
	{ 12, 2, 1, 0, SUCCESS, ANY, "SYSTEM_SHUTDOWN: set the scope only" },
	{ 46, 8, 0, 0, NO_FEATURE, ANY, "FPGA_READ of a register other than STAT" },
	{ 23, 0, 0, 0, SUCCESS, 0x7, "FPGA_GET_STATUS: not done" },
	{ 46, 7, 0, 0, SUCCESS, 0x1800, "FPGA_READ: STAT initialised, not started" },
};

void test_eemi(void)
{
	uint32_t out[3];

	group("eemi");
	for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_equal(eemi(cases[i].id, cases[i].a0, cases[i].a1, cases[i].a2, 0, out),
			    cases[i].status, cases[i].text);
		if (cases[i].out != ANY)
			check_equal(out[0], cases[i].out, cases[i].text);
	}
	eemi(34, 0, 12, 2, 0x12345678, NULL);
	eemi(34, 0, 13, 2, 0, out);
	check_equal(out[0], 0x12345678, "IOCTL: GGS 2 keeps what was written");
	eemi(34, 0, 15, 2, 0, out);
	check_equal(out[0], 0, "IOCTL: PGGS 2 is another register");
	eemi(63, 34, 0, 0, 0, out);
	check_equal(out[1], 0x2f00f, "FEATURE_CHECK of IOCTL gives the mask of ids");
}
