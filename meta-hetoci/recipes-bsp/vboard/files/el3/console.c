/* SPDX-License-Identifier: MIT */
/* PL011 (Arm DDI 0183) at UART1, shared with R5_0. */
#include "el3.h"
#include "vboard.h"

#define UARTDR		(VB_UART1_BASE + 0x00)
#define UARTFR		(VB_UART1_BASE + 0x18)
#define UARTLCR_H	(VB_UART1_BASE + 0x2c)
#define UARTCR		(VB_UART1_BASE + 0x30)

#define FR_TXFF		(1 << 5)
#define LCR_8N1_FIFO	(3 << 5 | 1 << 4)
#define CR_ENABLE	(1 << 9 | 1 << 8 | 1 << 0)

/* A full FIFO that nobody drains must not stop the board. */
#define FIFO_TIMEOUT_MS	100

void console_init(void)
{
	write32(UARTLCR_H, LCR_8N1_FIFO);
	write32(UARTCR, CR_ENABLE);
}

static void put_char(char c)
{
	uint64_t deadline = deadline_ms(FIFO_TIMEOUT_MS);

	while (read32(UARTFR) & FR_TXFF) {
		if (passed(deadline))
			return;
	}
	write32(UARTDR, (uint8_t)c);
}

void put_text(const char *text)
{
	while (*text != '\0')
		put_char(*text++);
}

void put_hex(uint64_t value)
{
	int digit = 15;

	put_text("0x");
	while (digit > 0 && value >> (4 * digit) == 0)
		digit--;
	for (; digit >= 0; digit--)
		put_char("0123456789abcdef"[value >> (4 * digit) & 15]);
}

void put_decimal(uint64_t value)
{
	char digits[21];
	char *p = digits + sizeof(digits) - 1;

	*p = '\0';
	do {
		*--p = (char)('0' + value % 10);
		value /= 10;
	} while (value != 0);
	put_text(p);
}
