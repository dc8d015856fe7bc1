/* SPDX-License-Identifier: MIT */
/* Registers and barriers of the processor (Arm ARM, DDI 0487). */
#ifndef RTOS_CPU_H
#define RTOS_CPU_H

#include <stdint.h>

#define read_sysreg(name) ({ uint64_t v_; __asm__ volatile("mrs %0, " #name : "=r"(v_)); v_; })
#define write_sysreg(name, value) \
	__asm__ volatile("msr " #name ", %0" : : "r"((uint64_t)(value)) : "memory")

static inline void isb(void)
{
	__asm__ volatile("isb" : : : "memory");
}

static inline void dsb(void)
{
	__asm__ volatile("dsb sy" : : : "memory");
}

static inline void wait_for_interrupt(void)
{
	__asm__ volatile("dsb sy; wfi" : : : "memory");
}

static inline uint32_t mmio_read32(uintptr_t at)
{
	uint32_t value;

	/* The only form of load that Xen can emulate: one register, no write-back. */
	__asm__ volatile("ldr %w0, [%1]" : "=r"(value) : "r"(at) : "memory");
	return value;
}

static inline void mmio_write32(uintptr_t at, uint32_t value)
{
	__asm__ volatile("str %w0, [%1]" : : "r"(value), "r"(at) : "memory");
}

#endif
