/* SPDX-License-Identifier: MIT */
/* The test payload's helpers. A check prints one line of TAP: "ok - group: text". */
#ifndef TEST_H
#define TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bitstream.h"
#include "pl.h"
#include "vboard.h"

/* start.S */
void smc_raw(uint64_t x[8]);
uint64_t smc_changes(uint64_t function);
_Noreturn void semihosting_exit(uint64_t status);

/* test.c */
void group(const char *name);
void check(bool ok, const char *text);
void check_equal(uint64_t got, uint64_t want, const char *text);
uint64_t smc(uint64_t function, uint64_t a, uint64_t b, uint64_t c);
uint64_t now_ms(void);

/* For what must happen, but may have to wait for the host to run an R5's thread. */
#define PATIENCE_MS	10000

/* True as soon as the word has the value, false after `ms`. */
bool becomes(uint64_t address, uint32_t mask, uint32_t value, uint32_t ms);

/* EEMI: status; out gets the three results (or is NULL). */
uint32_t eemi(uint32_t id, uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t *out);

static inline uint32_t read32(uint64_t address)
{
	return *(volatile uint32_t *)address;
}

static inline void write32(uint64_t address, uint32_t value)
{
	*(volatile uint32_t *)address = value;
}

static inline void barrier(void)
{
	__asm__ volatile("dsb sy" ::: "memory");
}

/* gic.c: interrupts are polled, EL2 keeps them masked */
void gic_init(void);
void gic_enable(uint32_t spi, bool edge);
/* The next interrupt's SPI number, taken and ended; -1 if none within `ms`. */
int32_t gic_take(uint32_t ms);

/* images, by start.S */
enum image_id { SHELL, OTHER_SHELL, VADD_0, VADD_1, SHA256_0, SHA256_1, SHA256_3, FAULT_2, HANG_2, R5_0 };
extern const struct image {
	const uint8_t *data;
	uint64_t bytes;
} images[];

/* load.c: bitstreams are loaded from STAGE, where a test may change them first */
#define STAGE		0x10000000ul
uint32_t stage(enum image_id id);	/* returns the length in bytes */
void reseal(void);			/* makes the digest of the staged bitstream right */
uint32_t load(uint32_t bytes, uint32_t flags);
uint32_t load_image(enum image_id id, uint32_t flags);
void decouple(uint32_t slot);
void couple(uint32_t slot);
uint32_t shell_reg(uint32_t index);
#define FULL	0
#define PARTIAL	1

/* job.c: accelerators */
#define ID_VADD		0x44444156
#define ID_SHA256	0x32414853
#define DMA(slot)	(VB_PL_DMA_BASE + (slot) * VB_PL_DMA_SIZE)
uint32_t reg(uint32_t slot, uint32_t index);
void set_reg(uint32_t slot, uint32_t index, uint32_t value);
bool has_id(uint32_t slot, uint32_t id);	/* within a generous time */
void start_vadd(uint32_t slot, uint32_t a, uint32_t b, uint32_t c, uint32_t count, uint32_t ctrl);
void start_sha256(uint32_t slot, uint32_t message, uint32_t length, uint32_t to, uint32_t ctrl);
uint32_t end_job(uint32_t slot);		/* waits; the status, 0 if it never ended */
void fill_dma(uint32_t slot, uint32_t bytes, uint32_t seed);
bool sha256_right(uint32_t slot, uint32_t message, uint32_t length, uint32_t to);
bool vadd_right(uint32_t a, uint32_t b, uint32_t c, uint32_t count);

/* one file each */
void test_psci(void);
void test_eemi(void);
void test_rpu(void);
void test_ipi(void);
void test_without_shell(void);
void test_full(void);
void test_refusals(void);
void test_accelerators(void);
void test_slots(void);
void test_faults(void);

#endif
