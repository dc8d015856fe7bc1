/* SPDX-License-Identifier: MIT */
#include "machine.h"

#define IRQ_SPI_BASE	32
#define IRQ_PPI_BASE	16
#define IRQ_MAX		1019
#define TIMER_VIRTUAL	2	/* third interrupt of arm,armv8-timer */
#define FLAG_EDGE	3u	/* both edges; 4 and 8 are levels */

struct cells {
	uint32_t address, size;
};

static struct cells cells_of(const struct fdt *fdt, fdt_node parent)
{
	struct cells cells = {
		fdt_u32(fdt, parent, "#address-cells", 2), fdt_u32(fdt, parent, "#size-cells", 1),
	};

	return cells;
}

static struct range range_at(const struct fdt *fdt, fdt_node node, struct cells cells,
			     uint32_t index)
{
	uint32_t at = index * (cells.address + cells.size);
	struct range range = { 0 };
	struct fdt_prop reg;

	if (cells.address <= 2 && cells.size <= 2 && fdt_get(fdt, node, "reg", &reg) &&
	    at + cells.address + cells.size <= reg.size / 4) {
		range.base = fdt_number(&reg, at, cells.address);
		range.size = fdt_number(&reg, at + cells.address, cells.size);
	}
	if (range.base + range.size < range.base)
		range.size = 0;
	return range;
}

/* The GIC's number of a node's interrupt, 0 if it has none (three cells: kind, number, flags). */
static uint32_t irq_at(const struct fdt *fdt, fdt_node node, uint32_t index, bool *edge)
{
	struct fdt_prop irqs;
	uint32_t kind, number;

	if (!fdt_get(fdt, node, "interrupts", &irqs) || irqs.size < 12 * (index + 1))
		return 0;
	kind = fdt_cell(&irqs, 3 * index);
	number = fdt_cell(&irqs, 3 * index + 1);
	if (edge)
		*edge = (fdt_cell(&irqs, 3 * index + 2) & FLAG_EDGE) != 0;
	if (kind == 0)
		return number <= IRQ_MAX - IRQ_SPI_BASE ? number + IRQ_SPI_BASE : 0;
	return kind == 1 && number < 16 ? number + IRQ_PPI_BASE : 0;
}

struct search {
	const struct fdt *fdt;
	const char *compatible;
	fdt_node found;
};

static bool match(void *context, fdt_node child, const char *name)
{
	struct search *search = context;

	(void)name;
	if (!fdt_compatible(search->fdt, child, search->compatible))
		return true;
	search->found = child;
	return false;
}

static fdt_node child_with(const struct fdt *fdt, fdt_node parent, const char *compatible)
{
	struct search search = { .fdt = fdt, .compatible = compatible };

	fdt_children(fdt, parent, match, &search);
	return search.found;
}

static const char *read_gic(struct machine *m, fdt_node root)
{
	fdt_node gic = child_with(&m->fdt, root, "arm,gic-v3");
	struct cells cells = cells_of(&m->fdt, root);

	if (!gic)
		return "no arm,gic-v3";
	m->gic_distributor = range_at(&m->fdt, gic, cells, 0);
	m->gic_redistributor = range_at(&m->fdt, gic, cells, 1);
	if (!m->gic_distributor.size || !m->gic_redistributor.size)
		return "an arm,gic-v3 without distributor and redistributor";
	return NULL;
}

const char *machine_read(struct machine *m)
{
	const struct fdt *fdt = &m->fdt;
	fdt_node root = fdt_find(fdt, "/");
	fdt_node memory = fdt_find(fdt, "/memory");
	fdt_node timer = child_with(fdt, root, "arm,armv8-timer");
	fdt_node xen = fdt_find(fdt, "/hypervisor");
	fdt_node chosen = fdt_find(fdt, "/chosen");

	m->memory = range_at(fdt, memory, cells_of(fdt, root), 0);
	if (!m->memory.size)
		return "no memory";
	m->timer_irq = timer ? irq_at(fdt, timer, TIMER_VIRTUAL, NULL) : 0;
	if (!m->timer_irq)
		return "no virtual timer with an interrupt";
	m->event_irq = xen && fdt_compatible(fdt, xen, "xen,xen") ? irq_at(fdt, xen, 0, NULL) : 0;
	if (!m->event_irq)
		return "no Xen in /hypervisor with an interrupt";
	m->xen = fdt_string(fdt, xen, "compatible");
	m->bootargs = chosen ? fdt_string(fdt, chosen, "bootargs") : NULL;
	if (!m->bootargs)
		m->bootargs = "";
	return read_gic(m, root);
}

bool machine_device(const struct machine *m, const char *compatible, struct device *device)
{
	const struct fdt *fdt = &m->fdt;
	fdt_node parent = fdt_find(fdt, "/passthrough");
	fdt_node node = child_with(fdt, parent, compatible);
	struct cells cells = cells_of(fdt, parent);

	if (!node)
		return false;
	for (uint32_t i = 0; i < 2; i++)
		device->reg[i] = range_at(fdt, node, cells, i);
	device->edge = false;
	device->irq = irq_at(fdt, node, 0, &device->edge);
	return true;
}
