/* SPDX-License-Identifier: MIT */
#include "r5_0.h"
#include "test.h"

#define OPEN		0x82001000
#define RELEASE		0x82001001
#define ENQUIRY		0x82001002
#define NOTIFY		0x82001003
#define ACK		0x82001004
#define ENABLE		0x82001005
#define DISABLE		0x82001006
#define SEND_PENDING	1
#define RECV_PENDING	2
#define IRQ		1
#define BLOCKING	1
#define SPI		(VB_ADMA_SPI_BASE + VB_ADMA_CHANNEL_IPI)
#define ROUNDS		2000

static int32_t ipi(uint32_t function, uint32_t flags)
{
	return (int32_t)smc(function, 0, 1, flags);
}

static bool status_becomes(int32_t status)
{
	uint64_t end = now_ms() + PATIENCE_MS;

	while (ipi(ENQUIRY, 0) != status) {
		if (now_ms() > end)
			return false;
	}
	return true;
}

/* R5_0's thread may be kept waiting by the host for longer than NOTIFY waits. */
static bool notify_taken(void)
{
	uint64_t end = now_ms() + PATIENCE_MS;

	while (ipi(NOTIFY, BLOCKING) != 0) {
		if (now_ms() > end)
			return false;
	}
	return true;
}

static bool kick_by_itself(void)
{
	write32(R5_0_KICK_NOW, 1);
	return becomes(R5_0_KICK_NOW, ~0u, 0, PATIENCE_MS);
}

static void without_r5(void)
{
	check_equal((uint64_t)(int64_t)ipi(OPEN, 0), 0, "OPEN");
	check_equal((uint64_t)(int64_t)ipi(ENQUIRY, 0), 0, "nothing is pending at first");
	check_equal((uint64_t)(int64_t)ipi(NOTIFY, 0), 0, "NOTIFY");
	check_equal((uint64_t)(int64_t)ipi(ENQUIRY, 0), SEND_PENDING, "it is pending while R5_0 is off");
	check_equal((uint64_t)(int64_t)ipi(NOTIFY, BLOCKING), (uint64_t)-110, "a blocking NOTIFY times out");
	check_equal(smc(NOTIFY, 0, 2, 0), (uint64_t)-22, "no mailbox towards R5_1");
	check_equal(smc(NOTIFY, 1, 0, 0), (uint64_t)-22, "none from R5_0's side");
	check_equal(smc(OPEN, 0, 99, 0), (uint64_t)-22, "none to an unknown agent");
	check_equal(smc(0x82001007, 0, 1, 0), (uint64_t)-1, "an unknown mailbox call is not supported");
}

/* The driver's interrupt handler: enquiry, then the ACK. */
static bool handle(void)
{
	if (gic_take(PATIENCE_MS) != SPI || !(ipi(ENQUIRY, IRQ) & RECV_PENDING))
		return false;
	return ipi(ACK, IRQ) == 0;
}

static void drain(void)
{
	while (gic_take(20) == SPI) {
		ipi(ENQUIRY, IRQ);
		ipi(ACK, IRQ);
	}
}

static void ping_pong(void)
{
	uint32_t answered = 0;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		ipi(NOTIFY, 0);
		answered += handle();
		/* A kick that was acknowledged before its transfer ended interrupts once more. */
		while (ipi(ENQUIRY, 0) & RECV_PENDING)
			handle();
	}
	check_equal(answered, ROUNDS, "each of 2000 kicks comes back as an interrupt");
	drain();
	check_equal((uint64_t)(int64_t)ipi(ENQUIRY, 0), 0, "nothing is pending after them");
	check_equal(read32(VB_IPI_REGS_BASE + VB_IPI_RPU_TO_APU_KICK), ROUNDS, "none was made up");
}

/* Linux may acknowledge late: after a second kick that no handler has seen. */
static void late_ack(void)
{
	kick_by_itself();
	check_equal((uint64_t)gic_take(PATIENCE_MS), SPI, "a kick interrupts");
	check_equal((uint64_t)(int64_t)ipi(ENQUIRY, IRQ), RECV_PENDING, "the handler sees it");
	check(gic_take(20) == -1, "the enquiry has masked the interrupt");
	kick_by_itself();
	check(gic_take(20) == -1, "a second kick stays masked");
	ipi(ACK, IRQ);
	check_equal((uint64_t)gic_take(PATIENCE_MS), SPI, "the late ACK does not swallow the second kick");
	check_equal((uint64_t)(int64_t)ipi(ENQUIRY, IRQ), RECV_PENDING, "which is pending");
	ipi(ACK, IRQ);
	drain();
	check_equal((uint64_t)(int64_t)ipi(ENQUIRY, 0), 0, "and handled then");
}

/* As when an ACK comes between R5_0's kick and the end of the transfer that tells of it. */
static void interrupt_after_ack(void)
{
	write32(VB_ADMA_BASE + VB_ADMA_CHANNEL_IPI * VB_ADMA_STRIDE + 0x200, 1);
	check_equal((uint64_t)gic_take(PATIENCE_MS), SPI, "the interrupt of a kick acknowledged before comes");
	check_equal((uint64_t)(int64_t)ipi(ENQUIRY, IRQ), RECV_PENDING, "and counts as pending");
	ipi(ACK, IRQ);
	check(gic_take(20) == -1, "until it is acknowledged too");
}

static void masking(void)
{
	ipi(DISABLE, 0);
	kick_by_itself();
	check(gic_take(20) == -1, "no interrupt while disabled");
	ipi(ENABLE, 0);
	check(handle(), "but as soon as it is enabled");
	drain();
	kick_by_itself();
	ipi(RELEASE, 0);
	check(gic_take(20) == -1, "none after RELEASE");
	ipi(OPEN, 0);
	ipi(ENABLE, 0);
	check(gic_take(20) == -1, "OPEN drops what was pending");
}

void test_ipi(void)
{
	group("ipi");
	gic_enable(SPI, false);
	without_r5();
	eemi(10, 7, 1, 0, 1, NULL);
	check(status_becomes(0), "a start of R5_0 forgets kicks of before");
	check(notify_taken(), "a blocking NOTIFY returns once R5_0 took it");
	check(status_becomes(RECV_PENDING), "R5_0's answer is pending");
	ipi(ACK, 0);
	check(status_becomes(0), "ACK clears it");
	eemi(8, 7, 2, 0, 0, NULL);
	eemi(10, 7, 1, 0, 1, NULL);
	ipi(ENABLE, 0);
	ping_pong();
	late_ack();
	interrupt_after_ack();
	masking();
	eemi(8, 7, 2, 0, 0, NULL);
	check_equal((uint64_t)(int64_t)ipi(ENQUIRY, 0), 0, "a stop of R5_0 forgets its IPIs");
}
