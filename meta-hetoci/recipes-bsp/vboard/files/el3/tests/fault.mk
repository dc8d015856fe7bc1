# SPDX-License-Identifier: MIT
DESIGN := fault
DESIGN_VERSION := 1.0
SOURCES := fault.c

include $(dir $(lastword $(MAKEFILE_LIST)))../../pl/pl.mk
