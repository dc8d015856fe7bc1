/* SPDX-License-Identifier: MIT */
/*
 * Reader of a flattened device tree (Devicetree Specification 0.4, chapter 5). Nothing in the
 * blob is trusted: every offset is checked, and a tree that is not well formed ends a walk early.
 */
#ifndef RTOS_FDT_H
#define RTOS_FDT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FDT_HEADER_BYTES	40
#define FDT_MAX_BYTES		0x200000u	/* what libxl writes is a few KiB */
#define FDT_PATH_MAX		256

struct fdt {
	const uint8_t *structs;
	uint32_t structs_size;
	const char *strings;
	uint32_t strings_size;
};

/* A node: where its properties begin in the structure block. 0 is no node. */
typedef uint32_t fdt_node;

struct fdt_prop {
	const uint8_t *data;
	uint32_t size;
};

/* Return the size in the blob's header, or 0 if that is no header of version 17 or the size is no
 * possible one. Reads FDT_HEADER_BYTES. */
uint32_t fdt_size(const void *blob);

/* Open a blob of which `size` bytes may be read. Returns false if it is not a device tree. */
bool fdt_open(struct fdt *fdt, const void *blob, size_t size);

/* Return the node at an absolute path, or 0. A component without unit address fits a node with
 * one, as in the specification's paths. */
fdt_node fdt_find(const struct fdt *fdt, const char *path);

/* Call `visit` for each child of a node, in order, until it returns false. */
void fdt_children(const struct fdt *fdt, fdt_node node,
		  bool (*visit)(void *context, fdt_node child, const char *name), void *context);

/* Return whether the node has the property. */
bool fdt_get(const struct fdt *fdt, fdt_node node, const char *name, struct fdt_prop *prop);

/* The cell at an index of a property; 0 beyond its end. */
uint32_t fdt_cell(const struct fdt_prop *prop, uint32_t index);

/* A number of one or two cells at an index of cells; 0 beyond the end or for other sizes. */
uint64_t fdt_number(const struct fdt_prop *prop, uint32_t index, uint32_t cells);

/* A property of one cell, or `otherwise`. */
uint32_t fdt_u32(const struct fdt *fdt, fdt_node node, const char *name, uint32_t otherwise);

/* A property that is one terminated string, or NULL. */
const char *fdt_string(const struct fdt *fdt, fdt_node node, const char *name);

/* Whether one of the node's compatible strings is `wanted`. */
bool fdt_compatible(const struct fdt *fdt, fdt_node node, const char *wanted);

#endif
