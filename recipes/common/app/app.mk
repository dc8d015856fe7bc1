# SPDX-License-Identifier: MIT
# Builds what an image with accelerators holds. A recipe's app/Makefile sets
#   NAME      the program, for Linux on arm64, linked statically
#   SOURCES   its C files
#   DESIGNS   accelerators it brings: for each, recipes/pl-<design>/src
# and includes this file. make [CROSS_COMPILE=...] [PL_CROSS_COMPILE=...] [O=outdir]:
# $(O)/NAME, $(O)/labels.json for images that no Containerfile builds, and in $(O)/accelerator
# bitstream and overlay of each slot.
APP := $(abspath $(dir $(lastword $(MAKEFILE_LIST))))
HERE := $(abspath $(dir $(firstword $(MAKEFILE_LIST))))
RECIPES := $(abspath $(APP)/../..)
VBOARD ?= $(abspath $(RECIPES)/../meta-hetoci/recipes-bsp/vboard/files)

CROSS_COMPILE ?= aarch64-linux-gnu-
PL_CROSS_COMPILE ?= arm-none-eabi-
CC := $(CROSS_COMPILE)gcc
O ?= build

CPPFLAGS := -I$(APP) -I$(VBOARD)/pl -I$(VBOARD)/include -I$(VBOARD)/common
CFLAGS := -std=gnu11 -O2 -Wall -Wextra -Werror -ffunction-sections -fdata-sections
LDFLAGS := -static -s -Wl,--gc-sections -Wl,--build-id=none

OBJECTS := $(addprefix $(O)/objects/,$(SOURCES:.c=.o) app.o accelerator.o designs.o devices.o json.o sha256.o)

.PHONY: all clean $(DESIGNS)
all: $(O)/$(NAME) $(O)/labels.json $(DESIGNS)

$(O)/$(NAME): $(OBJECTS)
	$(CC) $(LDFLAGS) -o $@ $(OBJECTS)

$(O)/labels.json: $(HERE)/../Containerfile $(APP)/../labels.py
	@mkdir -p $(@D)
	$(APP)/../labels.py $< >$@.tmp
	mv $@.tmp $@

$(DESIGNS):
	$(MAKE) -C $(RECIPES)/pl-$@/src O=$(abspath $(O))/accelerator CROSS_COMPILE=$(PL_CROSS_COMPILE) \
		all overlays

$(O)/objects/%.o: $(HERE)/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(O)/objects/%.o: $(APP)/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(O)/objects/%.o: $(VBOARD)/common/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

clean:
	rm -rf $(O)

-include $(OBJECTS:.o=.d)
