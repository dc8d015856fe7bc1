# SPDX-License-Identifier: MIT
# Builds one kernel for a Xen domain. A recipe's Makefile sets NAME and SOURCES and includes this
# file; `make CROSS_COMPILE=aarch64-linux-gnu- O=<dir>` gives <dir>/NAME.bin (an arm64 Image),
# <dir>/NAME.elf with symbols, and <dir>/labels.json, from the Containerfile beside src/.

RTOS_DIR := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))

CROSS_COMPILE ?= aarch64-linux-gnu-
CC := $(CROSS_COMPILE)gcc
OBJCOPY := $(CROSS_COMPILE)objcopy
O ?= build
CONTAINERFILE := $(wildcard ../Containerfile)

CPPFLAGS := -I$(RTOS_DIR) -I.
CFLAGS := -std=gnu11 -O2 -Wall -Wextra -Werror -ffreestanding -fno-common -fpie \
	-mgeneral-regs-only -mstrict-align -mno-outline-atomics -fno-stack-protector \
	-ffunction-sections -fdata-sections -fno-tree-loop-distribute-patterns \
	-fvisibility=hidden -fno-asynchronous-unwind-tables -march=armv8-a
LDFLAGS := -nostdlib -static-pie -Wl,--gc-sections -Wl,--build-id=none -Wl,-z,notext \
	-Wl,-z,noexecstack -Wl,--no-warn-rwx-segments -Wl,--fatal-warnings \
	-Wl,--orphan-handling=error

RTOS_SOURCES := start.S vectors.S boot.c console.c event.c fdt.c format.c gic.c machine.c mem.c \
	message.c mmu.c options.c port.c ring.c sched.c store.c trap.c xen.c
OBJECTS := $(RTOS_SOURCES:%=$(O)/rtos/%.o) $(SOURCES:%=$(O)/%.o)

.PHONY: all clean
all: $(O)/$(NAME).bin $(CONTAINERFILE:%=$(O)/labels.json)

$(O)/labels.json: $(CONTAINERFILE) $(RTOS_DIR)/../labels.py
	@mkdir -p $(@D)
	$(RTOS_DIR)/../labels.py $< >$@.tmp
	mv $@.tmp $@

$(O)/$(NAME).bin: $(O)/$(NAME).elf
	$(OBJCOPY) -O binary -j .text -j .rodata -j .rela.dyn -j .data $< $@

$(O)/$(NAME).elf: $(OBJECTS) $(RTOS_DIR)/link.ld
	$(CC) $(LDFLAGS) -Wl,-T,$(RTOS_DIR)/link.ld -o $@ $(OBJECTS)

$(O)/rtos/%.o: $(RTOS_DIR)/%
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(O)/%.o: %
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

clean:
	rm -rf $(O)/rtos $(SOURCES:%=$(O)/%.o) $(SOURCES:%=$(O)/%.d) \
		$(O)/$(NAME).elf $(O)/$(NAME).bin $(O)/labels.json

-include $(OBJECTS:.o=.d)
