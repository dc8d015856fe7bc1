/* SPDX-License-Identifier: MIT */
/* What the parts of the EL3 firmware offer each other. */
#ifndef EL3_H
#define EL3_H

#include <stdbool.h>
#include <stdint.h>

/* Exit statuses of the emulator, by semihosting. */
#define EXIT_OFF	0
#define EXIT_RESET	64	/* the harness starts the board again */
#define EXIT_PANIC	70

static inline uint32_t read32(uint64_t address)
{
	return *(volatile uint32_t *)address;
}

static inline void write32(uint64_t address, uint32_t value)
{
	*(volatile uint32_t *)address = value;
}

/* Everything before it is visible to the other cores and devices before anything after it. */
static inline void barrier(void)
{
	__asm__ volatile("dsb sy" ::: "memory");
}

/* start.S */
bool probe_read(uint64_t address);
_Noreturn void semihosting_exit(uint64_t status);
extern const char r5_stub[];

/* console.c: UART1 */
void console_init(void);
void put_text(const char *text);
void put_hex(uint64_t value);
void put_decimal(uint64_t value);

/* main.c: generic timer */
uint64_t deadline_ms(uint32_t ms);
bool passed(uint64_t deadline);

/* False if the word does not have the value within `ms`. */
bool await_word(uint64_t address, uint32_t value, uint32_t ms);

/* One SMC: x[0] the function, then the arguments; results replace x[0] on. False: unknown. */
bool psci_call(uint64_t *x);
bool ipi_call(uint64_t *x);
void eemi_call(uint64_t *x);
uint32_t eemi_call_count(void);

/*
 * rpu.c: the two Cortex-R5F. A core is either held in reset, or runs.
 * rpu_begin() brings the core to the stub and returns when it is certain to be there
 * (then nothing of its earlier life runs any more); rpu_go() sends it on to `address`.
 * Both return false after START_TIMEOUT_MS, with the core held in reset.
 */
#define RPU_0		0
#define RPU_1		1
#define START_TIMEOUT_MS 5000
void rpu_hold(unsigned int core);
bool rpu_running(unsigned int core);
bool rpu_begin(unsigned int core);
bool rpu_go(unsigned int core, uint32_t address);

/* ipi.c */
void ipi_reset(void);

/* fpga.c; EEMI handlers (struct eemi_function) */
void fpga_init(void);
uint32_t fpga_load(const uint32_t *arg, uint32_t *out);
uint32_t fpga_get_status(const uint32_t *arg, uint32_t *out);
uint32_t fpga_read(const uint32_t *arg, uint32_t *out);

/* EEMI statuses: Linux include/linux/firmware/xlnx-zynqmp.h, UG1200 "EEMI error codes" */
#define XST_PM_SUCCESS		0
#define XST_FAILURE		1
#define XST_INVALID_PARAM	15
#define XST_PM_NO_FEATURE	19
#define XST_PM_INVALID_CRC	301
#define XST_PM_INTERNAL		2000
#define XST_PM_CONFLICT		2001
#define XST_PM_NO_ACCESS	2002
#define XST_PM_INVALID_NODE	2003
#define XST_PM_DOUBLE_REQ	2004
#define XST_PM_TIMEOUT		2006

/* A handler that refuses leaves the reason here; it ends the line on the console. */
extern const char *eemi_reason;

#endif
