# SPDX-License-Identifier: MIT
DESIGN := hang
DESIGN_VERSION := 1.0
SOURCES := hang.c

include $(dir $(lastword $(MAKEFILE_LIST)))../../pl/pl.mk
