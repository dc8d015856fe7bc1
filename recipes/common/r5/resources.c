/* SPDX-License-Identifier: MIT */
#include <stddef.h>

#include "outcome.h"
#include "resources.h"
#include "trace.h"
#include "vboard.h"

volatile struct resource_table resources __attribute__((section(".resource_table"))) = {
	.ver = 1,
	.num = 3,
	.offset = {
		offsetof(struct resource_table, log),
		offsetof(struct resource_table, outcome),
		offsetof(struct resource_table, rpmsg),
	},
	.log = {
		.type = RSC_TRACE,
		.da = (uint32_t)trace_buffer,
		.len = TRACE_SIZE,
		.name = "trace",
	},
	.outcome = {
		.type = RSC_TRACE,
		.da = (uint32_t)outcome_record,
		.len = OUTCOME_SIZE,
		.name = "hetoci-exit",
	},
	.rpmsg = {
		.type = RSC_VDEV,
		.id = VIRTIO_ID_RPMSG,
		.dfeatures = VIRTIO_RPMSG_F_NS,
		.num_of_vrings = RPMSG_VRINGS,
		.vring = {
			{
				.da = VB_VRING0_BASE,
				.align = RPMSG_VRING_ALIGN,
				.num = RPMSG_VRING_BUFFERS,
			},
			{
				.da = VB_VRING1_BASE,
				.align = RPMSG_VRING_ALIGN,
				.num = RPMSG_VRING_BUFFERS,
			},
		},
	},
};
