/* SPDX-License-Identifier: MIT */
#include "cpu.h"
#include "xen.h"

/* public/xen.h */
#define HYPERVISOR_MEMORY_OP	12
#define HYPERVISOR_CONSOLE_IO	18
#define HYPERVISOR_SCHED_OP	29
#define HYPERVISOR_EVTCHN_OP	32
#define HYPERVISOR_HVM_OP	34
#define DOMID_SELF		0x7ff0

#define SCHEDOP_SHUTDOWN	2	/* public/sched.h */
#define EVTCHNOP_SEND		4	/* public/event_channel.h */
#define HVMOP_GET_PARAM		1	/* public/hvm/hvm_op.h */
#define CONSOLEIO_WRITE		0	/* public/xen.h */
#define XENMEM_ADD_TO_PHYSMAP	7	/* public/memory.h */
#define XENMAPSPACE_SHARED_INFO	0
#define PAGE_SHIFT		12

struct hvm_param {
	uint16_t domid;
	uint16_t pad;
	uint32_t index;
	uint64_t value;
};

struct add_to_physmap {
	uint16_t domid;
	uint16_t size;
	uint32_t space;
	uint64_t idx;
	uint64_t gpfn;
};

long hypercall(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t number);

static long call2(uint64_t number, uint64_t op, void *argument)
{
	return hypercall(op, (uintptr_t)argument, 0, 0, 0, number);
}

void xen_shutdown(uint32_t reason)
{
	struct { uint32_t reason; } shutdown = { reason };

	/* Also called before the caches are on, when what we write is only in memory. */
	__asm__ volatile("dc civac, %0; dsb sy" : : "r"(&shutdown), "m"(shutdown) : "memory");
	for (;;)
		call2(HYPERVISOR_SCHED_OP, SCHEDOP_SHUTDOWN, &shutdown);
}

bool xen_param(uint32_t index, uint64_t *value)
{
	struct hvm_param param = { .domid = DOMID_SELF, .index = index };

	if (call2(HYPERVISOR_HVM_OP, HVMOP_GET_PARAM, &param) != 0)
		return false;
	*value = param.value;
	return param.value != 0;
}

void xen_console(const char *text, uint32_t length)
{
	hypercall(CONSOLEIO_WRITE, length, (uintptr_t)text, 0, 0, HYPERVISOR_CONSOLE_IO);
}

bool xen_map_shared_info(void *page)
{
	struct add_to_physmap map = {
		.domid = DOMID_SELF,
		.space = XENMAPSPACE_SHARED_INFO,
		.gpfn = (uintptr_t)page >> PAGE_SHIFT,
	};

	return call2(HYPERVISOR_MEMORY_OP, XENMEM_ADD_TO_PHYSMAP, &map) == 0;
}

void xen_notify(uint32_t port)
{
	struct { uint32_t port; } send = { port };

	call2(HYPERVISOR_EVTCHN_OP, EVTCHNOP_SEND, &send);
}
