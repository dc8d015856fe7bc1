/* SPDX-License-Identifier: MIT */
/*
 * The virtual board's memory map: the one place that fixes an address.
 * Included by the EL3 firmware, the PL shell, the R5 firmware and the device
 * tree sources (through cpp), so it holds plain #defines only.
 * docs/virtual-board.md explains every line.
 */
#ifndef VBOARD_H
#define VBOARD_H

/* Low DDR, reserved no-map from Linux: 0x0 .. 0x200000 */
#define VB_ATCM_BASE		0x00000000	/* R5_0 "TCM A": vectors at device address 0x0 */
#define VB_TCM_SIZE		0x00010000
#define VB_BTCM_BASE		0x00020000	/* R5_0 "TCM B" */
#define VB_EL3_BASE		0x00180000
#define VB_EL3_SIZE		0x00020000
#define VB_SHELL_CODE_BASE	0x001a0000	/* program of the PL shell, run by R5_1 */
#define VB_SHELL_CODE_SIZE	0x00020000
#define VB_SLOT_CODE_BASE	0x001c0000	/* slot n: + n * VB_SLOT_CODE_SIZE */
#define VB_SLOT_CODE_SIZE	0x00010000
#define VB_NUM_SLOTS		4
#define VB_LOW_RESERVED_SIZE	0x00200000

/* Boot images */
#define VB_KERNEL_BASE		0x00200000	/* Linux, or Xen */
#define VB_DTB_BASE		0x07000000
#define VB_DOM0_KERNEL_BASE	0x50000000	/* under Xen: multiboot,kernel */
#define VB_DOM0_KERNEL_SIZE	0x02000000

/* AMP carve-outs, as in OpenAMP's ZynqMP trees */
#define VB_RPROC_FW_BASE	0x3ed00000
#define VB_RPROC_FW_SIZE	0x00040000
#define VB_VRING0_BASE		0x3ed40000
#define VB_VRING1_BASE		0x3ed44000
#define VB_VRING_SIZE		0x00004000
#define VB_VDEV_BUFFER_BASE	0x3ed48000
#define VB_VDEV_BUFFER_SIZE	0x00100000

/* DMA memory of the accelerators: slot n: + n * VB_PL_DMA_SIZE */
#define VB_PL_DMA_BASE		0x3f000000
#define VB_PL_DMA_SIZE		0x00100000

/* On-chip memory: the registers of everything that is not in QEMU's model */
#define VB_OCM_BASE		0xfffc0000
#define VB_SLOT_REGS_BASE	0xfffc0000	/* slot n: + n * VB_REGS_SIZE */
#define VB_REGS_SIZE		0x00001000
#define VB_SHELL_REGS_BASE	0xfffc4000
#define VB_DECOUPLER_BASE	0xfffc5000	/* slot n: + n * VB_REGS_SIZE */
#define VB_IPI_REGS_BASE	0xfffc9000
#define VB_IPI_MSG_BASE		0xfffca000
#define VB_EL3_SHELL_BASE	0xfffcb000	/* EL3 <-> shell, private */
#define VB_PL_VECTORS_BASE	0xffff0000	/* exception vectors of R5_1 (HIVECS) */

/* IPI doorbells, one pair of free-running counters a direction: pending while kick != ack */
#define VB_IPI_APU_TO_RPU_KICK	0x00		/* written by EL3 */
#define VB_IPI_APU_TO_RPU_ACK	0x04		/* written by R5_0 */
#define VB_IPI_RPU_TO_APU_KICK	0x10		/* written by R5_0 */
#define VB_IPI_RPU_TO_APU_ACK	0x14		/* written by EL3 */

/* ADMA channels of the Versal model serve as interrupt lines into the GIC */
#define VB_ADMA_BASE		0xffa80000	/* channel n: + n * VB_ADMA_STRIDE */
#define VB_ADMA_STRIDE		0x00010000
#define VB_ADMA_SPI_BASE	60		/* channel n: SPI 60 + n */
#define VB_ADMA_CHANNEL_IPI	7		/* R5_0 -> Linux, level */
#define VB_ADMA_CHANNEL_SLOT0	0		/* slot n: channel n, rising edge */

/* Devices QEMU models */
#define VB_UART0_BASE		0xff000000	/* Linux or Xen console */
#define VB_UART1_BASE		0xff010000	/* EL3 and R5_0 console */
#define VB_CRL_RST_CPU_R5	0xff5e0300
#define VB_GICD_BASE		0xf9000000
#define VB_GICR_BASE		0xf9080000

/* Identity of the programmable logic: PM_GET_CHIPID's idcode; no part that AMD sells has it */
#define VB_PL_IDCODE		0x0e70c093
/* Identity of the shell; a change of what it and designs agree on (pl/pl.h) needs a new one */
#define VB_PL_SHELL_ID		0x48450001

#endif
