# SPDX-License-Identifier: MIT
# Builds bitstreams. Included by a design's Makefile after it has set
#   DESIGN          name of the design
#   DESIGN_VERSION  MAJOR.MINOR
#   SOURCES         C files, relative to the including Makefile
# make [O=outdir] [SLOT=n]: $(O)/$(DESIGN)-slot<n>.bit.bin, for every slot without SLOT.
# make ... overlays: $(O)/$(DESIGN)-slot<n>.dtbo, needs dtc.
CROSS_COMPILE ?= arm-none-eabi-
PYTHON ?= python3
DTC ?= dtc
O ?= build
SLOT ?= 0 1 2 3

PL := $(abspath $(dir $(lastword $(MAKEFILE_LIST))))
SRC := $(abspath $(dir $(firstword $(MAKEFILE_LIST))))
PL_HEADERS := $(wildcard $(PL)/*.h $(PL)/../include/*.h $(PL)/../common/*.h)
PL_SHELL_ID ?= $(call vb_number,VB_PL_SHELL_ID)

pl_number = $(shell sed -n 's/^\#define $(2)[[:space:]]*\(0x[0-9a-f]*\).*/\1/p' $(1))
vb_number = $(call pl_number,$(PL)/../include/vboard.h,$(1))

# No hardware floating point: the shell does not keep a design's registers apart.
PL_CFLAGS := -mcpu=cortex-r5 -marm -mfloat-abi=soft -O2 -std=gnu11 -Wall -Wextra -Werror \
	-ffreestanding -fno-stack-protector -I$(PL) -I$(PL)/../include -I$(PL)/../common \
	-DPL_SHELL_ID=$(PL_SHELL_ID)
PL_LDFLAGS := -nostdlib -static -Wl,--build-id=none -Wl,-z,max-page-size=4 \
	-Wl,--no-warn-rwx-segments
MKBITSTREAM := $(PYTHON) $(PL)/mkbitstream.py make
PL_OBJECTS := $(addprefix $(O)/$(DESIGN)/,$(SOURCES:.c=.o) accelerator.o mem.o)

.PHONY: all clean overlays
all: $(foreach n,$(SLOT),$(O)/$(DESIGN)-slot$(n).bit.bin)
overlays: $(foreach n,$(SLOT),$(O)/$(DESIGN)-slot$(n).dtbo)

$(O)/$(DESIGN)/%.o: $(SRC)/%.c $(PL_HEADERS)
	@mkdir -p $(@D)
	$(CROSS_COMPILE)gcc $(PL_CFLAGS) -c -o $@ $<

$(O)/$(DESIGN)/%.o: $(PL)/%.c $(PL_HEADERS)
	@mkdir -p $(@D)
	$(CROSS_COMPILE)gcc $(PL_CFLAGS) -c -o $@ $<

$(O)/$(DESIGN)/%.o: $(PL)/../common/%.c $(PL_HEADERS)
	@mkdir -p $(@D)
	$(CROSS_COMPILE)gcc $(PL_CFLAGS) -c -o $@ $<

$(O)/$(DESIGN)-slot%.elf: $(PL_OBJECTS) $(PL)/slot.ld
	$(CROSS_COMPILE)gcc $(PL_LDFLAGS) \
		-Wl,--defsym=BASE=$(call vb_number,VB_SLOT_CODE_BASE)+$**$(call vb_number,VB_SLOT_CODE_SIZE) \
		-Wl,--defsym=SIZE=$(call vb_number,VB_SLOT_CODE_SIZE) -Wl,-T,$(PL)/slot.ld -o $@ $(PL_OBJECTS) -lgcc

$(O)/$(DESIGN)-slot%.bit.bin: $(O)/$(DESIGN)-slot%.elf $(PL)/mkbitstream.py
	$(MKBITSTREAM) $< -o $@ --name $(DESIGN) --version $(DESIGN_VERSION) --shell-id $(PL_SHELL_ID)

# Slot n's window is at VB_SLOT_REGS_BASE + n * VB_REGS_SIZE.
$(O)/$(DESIGN)-slot%.dts: $(PL)/../dts/pl-slot.dtso $(PL)/../include/vboard.h
	@mkdir -p $(@D)
	$(CROSS_COMPILE)gcc -E -P -nostdinc -undef -D__DTS__ -x assembler-with-cpp -I$(PL)/../include \
		-DPL_SLOT=slot$* -DPL_SLOT_NUMBER=$* -DPL_DESIGN=$(DESIGN) \
		-DPL_SLOT_UNIT=$$(printf %x $$(($(call vb_number,VB_SLOT_REGS_BASE) + $* * $(call vb_number,VB_REGS_SIZE)))) \
		-o $@ $<

# A warning is an error. dtc cannot see the interrupt parent that an overlay's nodes inherit.
$(O)/%.dtbo: $(O)/%.dts
	$(DTC) -@ -Wno-interrupts_property -I dts -O dtb -o $@.tmp $< 2>$@.said || { cat $@.said >&2; exit 1; }
	@! grep . $@.said >&2
	@rm $@.said
	mv $@.tmp $@

clean:
	rm -rf $(O)

.SECONDARY:
