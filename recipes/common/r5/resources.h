/* SPDX-License-Identifier: MIT */
/*
 * The resource table: what this firmware asks of Linux, and where Linux leaves
 * its answers (virtio status, ring addresses). Layout: include/linux/remoteproc.h.
 */
#ifndef R5_RESOURCES_H
#define R5_RESOURCES_H

#include <stdint.h>

#define RSC_TRACE		2
#define RSC_VDEV		3
#define VIRTIO_ID_RPMSG		7
#define VIRTIO_RPMSG_F_NS	(1u << 0)
#define VIRTIO_STATUS_DRIVER_OK	4

#define RPMSG_VRINGS		2
#define RPMSG_VRING_BUFFERS	256
#define RPMSG_VRING_ALIGN	4096	/* of the used ring */

struct rsc_trace {
	uint32_t type;
	uint32_t da;
	uint32_t len;
	uint32_t reserved;
	char name[32];
};

struct rsc_vring {
	uint32_t da;
	uint32_t align;
	uint32_t num;
	uint32_t notifyid;
	uint32_t pa;
};

struct rsc_vdev {
	uint32_t type;
	uint32_t id;
	uint32_t notifyid;
	uint32_t dfeatures;
	uint32_t gfeatures;
	uint32_t config_len;
	uint8_t status;
	uint8_t num_of_vrings;
	uint8_t reserved[2];
	struct rsc_vring vring[RPMSG_VRINGS];
};

struct resource_table {
	uint32_t ver;
	uint32_t num;
	uint32_t reserved[2];
	uint32_t offset[3];
	struct rsc_trace log;
	struct rsc_trace outcome;
	struct rsc_vdev rpmsg;
};

/* Linux writes to it at any time. */
extern volatile struct resource_table resources;

#endif
