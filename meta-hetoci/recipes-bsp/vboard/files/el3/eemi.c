/* SPDX-License-Identifier: MIT */
/*
 * EEMI, the platform management calls of a ZynqMP (AMD UG1200; the callers' view: Linux,
 * drivers/firmware/xilinx/zynqmp.c; statuses as the PMU firmware gives them).
 *
 * Six 32-bit arguments arrive packed in x1-x3, the status and three results leave in
 * x0 and x1. Statuses are returned whatever the acknowledge argument says: there is no
 * callback channel that could carry them later.
 */
#include "el3.h"
#include "vboard.h"

#define EEMI_1_1		0x10001
#define TRUSTZONE_1_0		0x10000

#define NODE_RPU_0		7
#define NODE_RPU_1		8
#define STATE_OFF		0
#define STATE_RUNNING		1
#define USED_BY_CALLER		1

#define CAPABILITY_MASK		0xf
#define ADDRESS_GIVEN		1	/* REQUEST_WAKEUP: bit 0 of the low address word */

struct eemi_function {
	uint16_t id;
	uint16_t version;
	uint32_t (*handler)(const uint32_t *arg, uint32_t *out);
	const char *name;
};

/* Processor: has a power state of its own. Caller: requested by the software above. */
struct node {
	uint8_t id;
	bool processor;
	bool denied;
	bool requested;
};

const char *eemi_reason;

/* TF-A, plat/xilinx/zynqmp/pm_service/pm_defs.h, enum pm_node_id: those this board has */
static struct node nodes[] = {
	{ .id = 2, .processor = true, .denied = true },		/* APU_0, the caller itself */
	{ .id = NODE_RPU_0, .processor = true },		/* R5_0 */
	{ .id = NODE_RPU_1, .processor = true, .denied = true }, /* R5_1 is the programmable logic */
	{ .id = 15 },						/* TCM_0_A */
	{ .id = 16 },						/* TCM_0_B */
	{ .id = 22 },						/* USB_0 */
	{ .id = 29 },						/* ETH_0 */
	{ .id = 30 },						/* ETH_1 */
	{ .id = 33 },						/* UART_0 */
	{ .id = 34, .denied = true },				/* UART_1: EL3's and R5_0's console */
	{ .id = 39 },						/* SD_0 */
	{ .id = 40 },						/* SD_1 */
	{ .id = 43 },						/* ADMA */
	{ .id = 55 },						/* DDR */
	{ .id = 56 },						/* IPI_APU */
	{ .id = 57 },						/* IPI_RPU_0 */
	{ .id = 60 },						/* PCAP */
	{ .id = 61 },						/* RTC */
	{ .id = 69 },						/* PL */
};

static uint32_t rpu_mode;	/* lockstep after reset, as the SoC */
static uint32_t tcm_mode;	/* can be set, not read, as with the PMU firmware */
static uint32_t storage[8];	/* GGS 0-3, PGGS 0-3 */

static uint32_t refuse(uint32_t status, const char *reason)
{
	eemi_reason = reason;
	return status;
}

static uint32_t find_node(uint32_t id, bool processor, struct node **found)
{
	for (unsigned int i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
		if (nodes[i].id != id || nodes[i].processor != processor)
			continue;
		*found = &nodes[i];
		return nodes[i].denied ? refuse(XST_PM_NO_ACCESS, "the node is not the caller's") :
					 XST_PM_SUCCESS;
	}
	return refuse(XST_PM_INVALID_NODE, processor ? "no such processor" : "no such device");
}

static uint32_t get_api_version(const uint32_t *arg, uint32_t *out)
{
	(void)arg;
	out[0] = EEMI_1_1;
	return XST_PM_SUCCESS;
}

static uint32_t get_trustzone_version(const uint32_t *arg, uint32_t *out)
{
	(void)arg;
	out[0] = TRUSTZONE_1_0;
	return XST_PM_SUCCESS;
}

static uint32_t get_chipid(const uint32_t *arg, uint32_t *out)
{
	(void)arg;
	out[0] = VB_PL_IDCODE;
	out[1] = 0;
	return XST_PM_SUCCESS;
}

static uint32_t get_node_status(const uint32_t *arg, uint32_t *out)
{
	struct node *node = 0;

	if (find_node(arg[0], true, &node) == XST_PM_INVALID_NODE &&
	    find_node(arg[0], false, &node) == XST_PM_INVALID_NODE)
		return refuse(XST_PM_INVALID_NODE, "no such node");
	eemi_reason = 0;
	if (node->id == NODE_RPU_0 || node->id == NODE_RPU_1)
		out[0] = rpu_running(node->id - NODE_RPU_0) ? STATE_RUNNING : STATE_OFF;
	else
		out[0] = node->processor || node->requested ? STATE_RUNNING : STATE_OFF;
	out[2] = node->requested ? USED_BY_CALLER : 0;
	return XST_PM_SUCCESS;
}

static uint32_t force_powerdown(const uint32_t *arg, uint32_t *out)
{
	struct node *node;
	uint32_t status = find_node(arg[0], true, &node);

	(void)out;
	if (status != XST_PM_SUCCESS)
		return status;
	rpu_hold(RPU_0);
	ipi_reset();
	return XST_PM_SUCCESS;
}

static uint32_t request_wakeup(const uint32_t *arg, uint32_t *out)
{
	struct node *node;
	uint32_t status = find_node(arg[0], true, &node);

	(void)out;
	if (status != XST_PM_SUCCESS)
		return status;
	if ((arg[1] & ADDRESS_GIVEN) && ((arg[1] & ~ADDRESS_GIVEN) != 0 || arg[2] != 0))
		return refuse(XST_PM_NO_ACCESS, "the core starts at 0x0 only");
	if (rpu_running(RPU_0))
		return XST_PM_SUCCESS;
	if (!rpu_begin(RPU_0))
		return refuse(XST_PM_TIMEOUT, "R5_0 did not leave reset");
	/* Again, now that nothing of the core's earlier life runs any more. */
	ipi_reset();
	if (!rpu_go(RPU_0, VB_ATCM_BASE))
		return refuse(XST_PM_TIMEOUT, "R5_0 did not start");
	return XST_PM_SUCCESS;
}

static uint32_t request_node(const uint32_t *arg, uint32_t *out)
{
	struct node *node;
	uint32_t status = find_node(arg[0], false, &node);

	(void)out;
	if (status != XST_PM_SUCCESS)
		return status;
	if (arg[1] & ~CAPABILITY_MASK)
		return refuse(XST_INVALID_PARAM, "unknown capability");
	if (node->requested)
		return XST_PM_DOUBLE_REQ;
	node->requested = true;
	return XST_PM_SUCCESS;
}

static uint32_t release_node(const uint32_t *arg, uint32_t *out)
{
	struct node *node;
	uint32_t status = find_node(arg[0], false, &node);

	(void)out;
	if (status != XST_PM_SUCCESS)
		return status;
	if (!node->requested)
		return refuse(XST_FAILURE, "the node was not requested");
	node->requested = false;
	return XST_PM_SUCCESS;
}

static uint32_t set_requirement(const uint32_t *arg, uint32_t *out)
{
	struct node *node;
	uint32_t status = find_node(arg[0], false, &node);

	(void)out;
	if (status != XST_PM_SUCCESS)
		return status;
	if (!node->requested)
		return refuse(XST_PM_NO_ACCESS, "the node was not requested");
	if (arg[1] & ~CAPABILITY_MASK)
		return refuse(XST_INVALID_PARAM, "unknown capability");
	return XST_PM_SUCCESS;
}

static uint32_t init_finalize(const uint32_t *arg, uint32_t *out)
{
	(void)arg;
	(void)out;
	return XST_PM_SUCCESS;
}

static uint32_t system_shutdown(const uint32_t *arg, uint32_t *out)
{
	(void)out;
	if (arg[0] > 2 || arg[1] > 2)
		return refuse(XST_INVALID_PARAM, "unknown type or scope");
	if (arg[0] == 0)
		semihosting_exit(EXIT_OFF);
	if (arg[0] == 1)
		semihosting_exit(EXIT_RESET);
	return XST_PM_SUCCESS;	/* a scope: each one ends in the same restart here */
}

static uint32_t set_mode(uint32_t node_id, uint32_t *mode, uint32_t value)
{
	struct node *node;
	uint32_t status = find_node(node_id, true, &node);

	if (status != XST_PM_SUCCESS)
		return status;
	if (value > 1)
		return refuse(XST_INVALID_PARAM, "unknown mode");
	*mode = value;
	return XST_PM_SUCCESS;
}

static uint32_t get_mode(uint32_t node_id, uint32_t mode, uint32_t *out)
{
	struct node *node;

	out[0] = mode;
	return find_node(node_id, true, &node);
}

static uint32_t set_boot_address(uint32_t node_id, uint32_t address)
{
	struct node *node;

	if (address != 0)
		return refuse(XST_PM_NO_ACCESS, "the core starts at 0x0 only");
	return find_node(node_id, true, &node);
}

static uint32_t storage_ioctl(uint32_t first, uint32_t index, bool set, uint32_t value, uint32_t *out)
{
	if (index > 3)
		return refuse(XST_INVALID_PARAM, "no such storage register");
	if (set)
		storage[first + index] = value;
	else
		out[0] = storage[first + index];
	return XST_PM_SUCCESS;
}

/* The ids ioctl() knows, as the mask FEATURE_CHECK gives. */
#define IOCTLS	(1u << 0 | 1u << 1 | 1u << 2 | 1u << 3 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 15 | 1u << 17)

/* arg: node, ioctl, two arguments. Linux, enum pm_ioctl_id. */
static uint32_t ioctl(const uint32_t *arg, uint32_t *out)
{
	switch (arg[1]) {
	case 0:		/* GET_RPU_OPER_MODE: lockstep or split */
		return get_mode(arg[0], rpu_mode, out);
	case 1:		/* SET_RPU_OPER_MODE: noted; R5_1 never follows R5_0 */
		return set_mode(arg[0], &rpu_mode, arg[2]);
	case 2:		/* RPU_BOOT_ADDR_CONFIG: only LOVEC exists */
		return set_boot_address(arg[0], arg[2]);
	case 3:		/* TCM_COMB_CONFIG: noted; the "TCM" is DDR */
		return set_mode(arg[0], &tcm_mode, arg[2]);
	case 12:	/* WRITE_GGS: global storage, cleared by a reset of the board */
		return storage_ioctl(0, arg[2], true, arg[3], out);
	case 13:	/* READ_GGS */
		return storage_ioctl(0, arg[2], false, 0, out);
	case 14:	/* WRITE_PGGS: as GGS; nothing survives the emulator's end */
		return storage_ioctl(4, arg[2], true, arg[3], out);
	case 15:	/* READ_PGGS */
		return storage_ioctl(4, arg[2], false, 0, out);
	case 17:	/* SET_BOOT_HEALTH_STATUS: nothing here would act on it */
		return XST_PM_SUCCESS;
	default:
		return refuse(XST_PM_NO_FEATURE, "no such ioctl");
	}
}

static uint32_t feature_check(const uint32_t *arg, uint32_t *out);

/* Every call: id, version as FEATURE_CHECK gives it, handler, name (Linux, enum pm_api_id). */
static const struct eemi_function functions[] = {
	/* Version of EEMI: [31:16].[15:0]. UG1200 PmGetApiVersion */
	{ 1, 1, get_api_version, "GET_API_VERSION" },
	/* (node) -> state, requirements, usage. UG1200 PmGetNodeStatus; 2: xlnx_r5_remoteproc */
	{ 3, 2, get_node_status, "GET_NODE_STATUS" },
	/* (node, ack) Holds R5_0 in reset, forgets its IPIs. UG1200 PmForcePowerdown */
	{ 8, 1, force_powerdown, "FORCE_POWERDOWN" },
	/* (node, address | 1, address >> 32, ack) Starts R5_0 at 0x0. UG1200 PmRequestWakeup */
	{ 10, 1, request_wakeup, "REQUEST_WAKEUP" },
	/* (type, scope) Ends or restarts the board. UG1200 PmSystemShutdown */
	{ 12, 1, system_shutdown, "SYSTEM_SHUTDOWN" },
	/* (node, capabilities, qos, ack) The caller begins to use a device. UG1200 PmRequestNode */
	{ 13, 1, request_node, "REQUEST_NODE" },
	/* (node) The caller is done with a device. UG1200 PmReleaseNode */
	{ 14, 1, release_node, "RELEASE_NODE" },
	/* (node, capabilities, qos, ack) Of a device in use. UG1200 PmSetRequirement */
	{ 15, 1, set_requirement, "SET_REQUIREMENT" },
	/* The caller's own power management is up. UG1200 PmInitFinalize */
	{ 21, 1, init_finalize, "INIT_FINALIZE" },
	/* (address, address >> 32, bytes, flags) Programs the logic. UG1200 PmFpgaLoad, XilFPGA */
	{ 22, 1, fpga_load, "FPGA_LOAD" },
	/* -> PCAP status: DONE and so on. UG1200 PmFpgaGetStatus; UG1087 csu.pcap_status */
	{ 23, 1, fpga_get_status, "FPGA_GET_STATUS" },
	/* -> idcode, version of the part. UG1200 PmGetChipId */
	{ 24, 1, get_chipid, "GET_CHIPID" },
	/* (node, ioctl, arguments) RPU and TCM mode, storage registers. UG1200 PmIoctl */
	{ 34, 2, ioctl, "IOCTL" },
	/* (register, address, address >> 32, 0) -> configuration register. UG570, chapter 9 */
	{ 46, 1, fpga_read, "FPGA_READ" },
	/* (id) -> version; of IOCTL also the mask of ids. UG1200 PmFeatureCheck */
	{ 63, 2, feature_check, "FEATURE_CHECK" },
	/* Version of the calls that TF-A answers itself. TF-A, plat/xilinx/zynqmp/pm_service */
	{ 0xa03, 1, get_trustzone_version, "GET_TRUSTZONE_VERSION" },
};

static const struct eemi_function *find_function(uint32_t id)
{
	for (unsigned int i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		if (functions[i].id == id)
			return &functions[i];
	}
	return 0;
}

static uint32_t feature_check(const uint32_t *arg, uint32_t *out)
{
	const struct eemi_function *function = find_function(arg[0]);

	if (!function)
		return XST_PM_NO_FEATURE;
	out[0] = function->version;
	if (function->handler == ioctl)
		out[1] = IOCTLS;
	return XST_PM_SUCCESS;
}

uint32_t eemi_call_count(void)
{
	return sizeof(functions) / sizeof(functions[0]);
}

static void report(const struct eemi_function *function, uint32_t id, const uint32_t *arg, uint32_t status)
{
	put_text("EL3: ");
	put_text(function ? function->name : "EEMI call ");
	if (!function)
		put_hex(id);
	for (unsigned int i = 0; i < 4; i++) {
		put_text(i == 0 ? "(" : ", ");
		put_hex(arg[i]);
	}
	put_text(") refused with status ");
	put_decimal(status);
	put_text(": ");
	put_text(eemi_reason ? eemi_reason : "not supported");
	put_text("\n");
}

void eemi_call(uint64_t *x)
{
	uint32_t id = (uint32_t)x[0] & 0xffff;
	const struct eemi_function *function = find_function(id);
	uint32_t arg[6], out[3] = { 0, 0, 0 };
	uint32_t status = XST_PM_NO_FEATURE;

	for (unsigned int i = 0; i < 6; i++)
		arg[i] = (uint32_t)(x[1 + i / 2] >> (i & 1 ? 32 : 0));
	eemi_reason = 0;
	if (function)
		status = function->handler(arg, out);
	/* Probing for a feature is no mistake of the caller's, nor is asking twice. */
	if (status != XST_PM_SUCCESS && status != XST_PM_DOUBLE_REQ && id != 63)
		report(function, id, arg, status);
	x[0] = status | (uint64_t)out[0] << 32;
	x[1] = out[1] | (uint64_t)out[2] << 32;
}
