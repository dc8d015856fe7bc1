/* SPDX-License-Identifier: MIT */
/*
 * IPI mailbox calls, as Linux drivers/mailbox/zynqmp-ipi-mailbox.c makes them and TF-A
 * documents them (docs/plat/xilinx-zynqmp.rst, plat/xilinx/common/ipi_mailbox_service).
 *
 * The IPI block is not in QEMU's model. Two counters a direction stand for the status
 * registers, the DMA_DONE interrupt of an ADMA channel for the line into the GIC (vboard.h).
 * R5_0 counts its kick first and runs the channel then, so a kick that an ACK has already
 * covered may still raise the interrupt: DMA_DONE alone therefore counts as pending too.
 */
#include "el3.h"
#include "vboard.h"

#define IPI(offset)		(VB_IPI_REGS_BASE + (offset))
#define ADMA(offset)		(VB_ADMA_BASE + VB_ADMA_CHANNEL_IPI * VB_ADMA_STRIDE + (offset))
#define ADMA_ISR		ADMA(0x100)	/* write 1 to clear */
#define ADMA_IEN		ADMA(0x108)
#define ADMA_IDS		ADMA(0x10c)
#define ADMA_CTRL2		ADMA(0x200)
#define ADMA_ENABLE		1
#define ADMA_ISR_ALL		0xfff
#define ADMA_DMA_DONE		(1 << 10)

/* IPI agents: TF-A, plat/xilinx/zynqmp/include/plat_ipi.h */
#define AGENT_APU		0
#define AGENT_RPU_0		1

#define STATUS_SEND_PENDING	1
#define STATUS_RECV_PENDING	2
#define FLAG_IRQ		1	/* ENQUIRY: disable; ACK: enable */
#define FLAG_BLOCKING		1	/* NOTIFY */
#define NOTIFY_TIMEOUT_MS	16	/* TF-A: 0x4000 us */
#define EINVAL			22
#define ETIMEDOUT		110

struct ipi_function {
	uint32_t id;
	int32_t (*handler)(uint32_t flags);
	const char *name;
};

/*
 * What the enquiry of an interrupt handler saw. Linux queues an ACK behind the one before
 * (struct mbox_chan), so its ACK may come after a further kick, which nobody has looked at yet:
 * the ACK must not cover that one.
 */
static struct {
	bool taken;
	uint32_t kick;
} seen;

static void irq_enable(bool enable)
{
	write32(enable ? ADMA_IEN : ADMA_IDS, ADMA_DMA_DONE);
}

static bool send_pending(void)
{
	return read32(IPI(VB_IPI_APU_TO_RPU_KICK)) != read32(IPI(VB_IPI_APU_TO_RPU_ACK));
}

static bool receive_pending(void)
{
	return read32(IPI(VB_IPI_RPU_TO_APU_KICK)) != read32(IPI(VB_IPI_RPU_TO_APU_ACK)) ||
	       (read32(ADMA_ISR) & ADMA_DMA_DONE) != 0;
}

/*
 * The interrupt first: a kick that comes in between raises it again, unless its transfer
 * ended just before; therefore it is raised here if a kick is left over.
 */
static void acknowledge(void)
{
	uint32_t covered = seen.taken ? seen.kick : read32(IPI(VB_IPI_RPU_TO_APU_KICK));

	seen.taken = false;
	write32(ADMA_ISR, ADMA_ISR_ALL);
	barrier();
	write32(IPI(VB_IPI_RPU_TO_APU_ACK), covered);
	barrier();
	if (read32(IPI(VB_IPI_RPU_TO_APU_KICK)) != covered)
		write32(ADMA_CTRL2, ADMA_ENABLE);
}

static int32_t ipi_open(uint32_t flags)
{
	(void)flags;
	irq_enable(false);
	seen.taken = false;
	acknowledge();
	return 0;
}

static int32_t ipi_release(uint32_t flags)
{
	(void)flags;
	irq_enable(false);
	return 0;
}

static int32_t ipi_enquiry(uint32_t flags)
{
	int32_t status = 0;

	if (send_pending())
		status |= STATUS_SEND_PENDING;
	if (receive_pending()) {
		status |= STATUS_RECV_PENDING;
		if (flags & FLAG_IRQ) {
			irq_enable(false);
			seen.kick = read32(IPI(VB_IPI_RPU_TO_APU_KICK));
			seen.taken = true;
		}
	}
	return status;
}

static int32_t ipi_notify(uint32_t flags)
{
	uint32_t kick = read32(IPI(VB_IPI_APU_TO_RPU_KICK)) + 1;

	barrier();
	write32(IPI(VB_IPI_APU_TO_RPU_KICK), kick);
	barrier();
	if ((flags & FLAG_BLOCKING) && !await_word(IPI(VB_IPI_APU_TO_RPU_ACK), kick, NOTIFY_TIMEOUT_MS))
		return -ETIMEDOUT;
	return 0;
}

static int32_t ipi_ack(uint32_t flags)
{
	acknowledge();
	if (flags & FLAG_IRQ)
		irq_enable(true);
	return 0;
}

static int32_t ipi_enable_irq(uint32_t flags)
{
	(void)flags;
	irq_enable(true);
	return 0;
}

static int32_t ipi_disable_irq(uint32_t flags)
{
	(void)flags;
	irq_enable(false);
	return 0;
}

static const struct ipi_function functions[] = {
	{ 0x82001000, ipi_open, "IPI OPEN" },			/* drop what is pending, interrupt off */
	{ 0x82001001, ipi_release, "IPI RELEASE" },		/* interrupt off */
	{ 0x82001002, ipi_enquiry, "IPI STATUS_ENQUIRY" },	/* what is pending; flag: interrupt off */
	{ 0x82001003, ipi_notify, "IPI NOTIFY" },		/* kick the remote; flag: await its ack */
	{ 0x82001004, ipi_ack, "IPI ACK" },			/* the kick is handled; flag: interrupt on */
	{ 0x82001005, ipi_enable_irq, "IPI ENABLE_IRQ" },
	{ 0x82001006, ipi_disable_irq, "IPI DISABLE_IRQ" },
};

void ipi_reset(void)
{
	write32(IPI(VB_IPI_APU_TO_RPU_KICK), 0);
	write32(IPI(VB_IPI_APU_TO_RPU_ACK), 0);
	write32(IPI(VB_IPI_RPU_TO_APU_KICK), 0);
	write32(IPI(VB_IPI_RPU_TO_APU_ACK), 0);
	write32(ADMA_ISR, ADMA_ISR_ALL);
	barrier();
	seen.taken = false;
}

/* x1: local agent, x2: remote agent, x3: flags. Result: 0, a status, or a negative errno. */
bool ipi_call(uint64_t *x)
{
	for (unsigned int i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		if (functions[i].id != (uint32_t)x[0])
			continue;
		if ((uint32_t)x[1] == AGENT_APU && (uint32_t)x[2] == AGENT_RPU_0) {
			x[0] = (uint64_t)(int64_t)functions[i].handler((uint32_t)x[3]);
			return true;
		}
		put_text("EL3: ");
		put_text(functions[i].name);
		put_text(" refused: no mailbox from agent ");
		put_decimal((uint32_t)x[1]);
		put_text(" to agent ");
		put_decimal((uint32_t)x[2]);
		put_text("\n");
		x[0] = (uint64_t)-EINVAL;
		return true;
	}
	return false;
}
