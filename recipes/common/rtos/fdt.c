/* SPDX-License-Identifier: MIT */
#include "fdt.h"
#include "mem.h"

#define MAGIC		0xd00dfeedu
#define VERSION		17

#define BEGIN_NODE	1u
#define END_NODE	2u
#define PROP		3u
#define NOP		4u

/* Offsets in the header. */
#define H_TOTALSIZE	4
#define H_STRUCTS	8
#define H_STRINGS	12
#define H_VERSION	20
#define H_COMPATIBLE	24
#define H_STRINGS_SIZE	32
#define H_STRUCTS_SIZE	36

struct token {
	uint32_t kind;		/* 0 at the end of the tree or of what is well formed */
	uint32_t next;		/* offset of what follows */
	const char *name;	/* of a node or a property */
	struct fdt_prop prop;
};

static uint32_t be32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static bool within(uint32_t offset, uint32_t size, uint32_t total)
{
	return offset <= total && size <= total - offset;
}

uint32_t fdt_size(const void *blob)
{
	const uint8_t *header = blob;
	uint32_t total = be32(header + H_TOTALSIZE);

	if (be32(header) != MAGIC || be32(header + H_VERSION) < VERSION ||
	    be32(header + H_COMPATIBLE) > VERSION)
		return 0;
	return total >= FDT_HEADER_BYTES && total <= FDT_MAX_BYTES ? total : 0;
}

bool fdt_open(struct fdt *fdt, const void *blob, size_t size)
{
	const uint8_t *header = blob;
	uint32_t total, structs, strings;

	if (size < FDT_HEADER_BYTES || ((uintptr_t)blob & 3) != 0)
		return false;
	total = fdt_size(blob);
	if (!total || total > size)
		return false;
	structs = be32(header + H_STRUCTS);
	strings = be32(header + H_STRINGS);
	fdt->structs_size = be32(header + H_STRUCTS_SIZE);
	fdt->strings_size = be32(header + H_STRINGS_SIZE);
	if ((structs & 3) != 0 || !within(structs, fdt->structs_size, total) ||
	    !within(strings, fdt->strings_size, total))
		return false;
	fdt->structs = header + structs;
	fdt->strings = (const char *)header + strings;
	return true;
}

/* The string at `at` of a block, or NULL if it is not terminated there. */
static const char *text(const char *block, uint32_t size, uint32_t at)
{
	uint32_t end = at;

	while (end < size && block[end])
		end++;
	return end < size ? block + at : NULL;
}

static void node_token(const struct fdt *fdt, uint32_t at, struct token *token)
{
	token->name = text((const char *)fdt->structs, fdt->structs_size, at);
	if (!token->name)
		token->kind = 0;
	else
		token->next = (at + (uint32_t)strlen(token->name) + 1 + 3) & ~3u;
}

static void prop_token(const struct fdt *fdt, uint32_t at, struct token *token)
{
	uint32_t size;

	token->kind = 0;
	if (!within(at, 8, fdt->structs_size))
		return;
	size = be32(fdt->structs + at);
	token->name = text(fdt->strings, fdt->strings_size, be32(fdt->structs + at + 4));
	if (!token->name || !within(at + 8, size, fdt->structs_size))
		return;
	token->kind = PROP;
	token->prop.data = fdt->structs + at + 8;
	token->prop.size = size;
	token->next = (at + 8 + size + 3) & ~3u;
}

static struct token read_token(const struct fdt *fdt, uint32_t at)
{
	struct token token = { 0 };

	while (within(at, 4, fdt->structs_size) && be32(fdt->structs + at) == NOP)
		at += 4;
	if (!within(at, 4, fdt->structs_size))
		return token;
	token.kind = be32(fdt->structs + at);
	token.next = at + 4;
	if (token.kind == BEGIN_NODE)
		node_token(fdt, at + 4, &token);
	else if (token.kind == PROP)
		prop_token(fdt, at + 4, &token);
	else if (token.kind != END_NODE)
		token.kind = 0;
	return token;
}

/* From behind a node's name to behind its end; 0 if the tree ends before. */
static uint32_t skip(const struct fdt *fdt, uint32_t at)
{
	uint32_t depth = 1;

	while (depth) {
		struct token token = read_token(fdt, at);

		if (!token.kind)
			return 0;
		depth += token.kind == BEGIN_NODE;
		depth -= token.kind == END_NODE;
		at = token.next;
	}
	return at;
}

void fdt_children(const struct fdt *fdt, fdt_node node,
		  bool (*visit)(void *context, fdt_node child, const char *name), void *context)
{
	uint32_t at = node;

	while (at) {
		struct token token = read_token(fdt, at);

		if (token.kind == BEGIN_NODE) {
			if (!visit(context, token.next, token.name))
				return;
			at = skip(fdt, token.next);
		} else if (token.kind == PROP) {
			at = token.next;
		} else {
			return;
		}
	}
}

struct wanted {
	const char *name;
	uint32_t length;
	fdt_node found;
};

static bool compare(void *context, fdt_node child, const char *name)
{
	struct wanted *wanted = context;
	uint32_t length = wanted->length;

	if (strlen(name) < length || memcmp(name, wanted->name, length) != 0)
		return true;
	if (name[length] != '\0' && name[length] != '@')
		return true;
	wanted->found = child;
	return false;
}

fdt_node fdt_find(const struct fdt *fdt, const char *path)
{
	struct token root = read_token(fdt, 0);
	fdt_node node = root.kind == BEGIN_NODE ? root.next : 0;

	while (node && *path) {
		struct wanted wanted = { .name = path };

		if (*path == '/') {
			path++;
			continue;
		}
		while (path[wanted.length] && path[wanted.length] != '/')
			wanted.length++;
		fdt_children(fdt, node, compare, &wanted);
		node = wanted.found;
		path += wanted.length;
	}
	return node;
}

bool fdt_get(const struct fdt *fdt, fdt_node node, const char *name, struct fdt_prop *prop)
{
	uint32_t at = node;

	while (at) {
		struct token token = read_token(fdt, at);

		if (token.kind != PROP)
			return false;
		if (strcmp(token.name, name) == 0) {
			*prop = token.prop;
			return true;
		}
		at = token.next;
	}
	return false;
}

uint32_t fdt_cell(const struct fdt_prop *prop, uint32_t index)
{
	return index < prop->size / 4 ? be32(prop->data + 4 * index) : 0;
}

uint64_t fdt_number(const struct fdt_prop *prop, uint32_t index, uint32_t cells)
{
	if (cells == 1)
		return fdt_cell(prop, index);
	if (cells == 2)
		return (uint64_t)fdt_cell(prop, index) << 32 | fdt_cell(prop, index + 1);
	return 0;
}

uint32_t fdt_u32(const struct fdt *fdt, fdt_node node, const char *name, uint32_t otherwise)
{
	struct fdt_prop prop;

	return fdt_get(fdt, node, name, &prop) && prop.size == 4 ? fdt_cell(&prop, 0) : otherwise;
}

const char *fdt_string(const struct fdt *fdt, fdt_node node, const char *name)
{
	struct fdt_prop prop;

	if (!fdt_get(fdt, node, name, &prop))
		return NULL;
	return text((const char *)prop.data, prop.size, 0);
}

bool fdt_compatible(const struct fdt *fdt, fdt_node node, const char *wanted)
{
	struct fdt_prop prop;
	uint32_t at = 0;

	if (!fdt_get(fdt, node, "compatible", &prop))
		return false;
	while (at < prop.size) {
		const char *word = text((const char *)prop.data, prop.size, at);

		if (!word)
			return false;
		if (strcmp(word, wanted) == 0)
			return true;
		at += (uint32_t)strlen(word) + 1;
	}
	return false;
}
