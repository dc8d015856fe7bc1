# SPDX-License-Identifier: MIT
# Builds one Cortex-R5 firmware. A recipe's Makefile sets NAME and SOURCES and
# includes this file; `make CROSS_COMPILE=arm-none-eabi- O=<dir>` gives <dir>/NAME.elf,
# and <dir>/labels.json for the image, from the Containerfile beside src/.

R5_DIR := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
VBOARD_INCLUDE ?= $(R5_DIR)/../../../meta-hetoci/recipes-bsp/vboard/files/include

CROSS_COMPILE ?= arm-none-eabi-
CC := $(CROSS_COMPILE)gcc
O ?= build
CONTAINERFILE := $(wildcard ../Containerfile)

ARCH_FLAGS := -mcpu=cortex-r5 -marm -mfloat-abi=soft -mno-unaligned-access
CPPFLAGS := -I$(R5_DIR) -I$(VBOARD_INCLUDE)
CFLAGS := -std=c11 -Os -Wall -Wextra -Werror -ffreestanding -fno-common \
	-ffunction-sections -fdata-sections -fno-tree-loop-distribute-patterns
LDFLAGS := -nostdlib -static -Wl,--gc-sections -Wl,--build-id=none -Wl,-z,max-page-size=16 \
	-Wl,--fatal-warnings -Wl,--orphan-handling=error

R5_SOURCES := start.S clock.c console.c format.c ipi.c mem.c outcome.c resources.c rpmsg.c \
	trace.c vring.c
OBJECTS := $(R5_SOURCES:%=$(O)/r5/%.o) $(SOURCES:%=$(O)/%.o)

.PHONY: all clean
all: $(O)/$(NAME).elf $(CONTAINERFILE:%=$(O)/labels.json)

$(O)/labels.json: $(CONTAINERFILE) $(R5_DIR)/../labels.py
	@mkdir -p $(@D)
	$(R5_DIR)/../labels.py $< >$@.tmp
	mv $@.tmp $@

$(O)/$(NAME).elf: $(OBJECTS) $(O)/link.ld
	$(CC) $(ARCH_FLAGS) $(LDFLAGS) -Wl,-T,$(O)/link.ld -o $@ $(OBJECTS) -lgcc

$(O)/link.ld: $(R5_DIR)/link.ld $(VBOARD_INCLUDE)/vboard.h
	@mkdir -p $(@D)
	$(CC) -E -P -undef -x assembler-with-cpp $(CPPFLAGS) -o $@ $<

$(O)/r5/%.o: $(R5_DIR)/%
	@mkdir -p $(@D)
	$(CC) $(ARCH_FLAGS) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(O)/%.o: %
	@mkdir -p $(@D)
	$(CC) $(ARCH_FLAGS) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

clean:
	rm -rf $(O)/r5 $(O)/link.ld $(SOURCES:%=$(O)/%.o) $(SOURCES:%=$(O)/%.d) \
		$(O)/$(NAME).elf $(O)/labels.json

-include $(OBJECTS:.o=.d)
