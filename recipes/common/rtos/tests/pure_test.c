/* SPDX-License-Identifier: MIT */
/*
 * pure_test machine FILE      what the kernel reads in a device tree
 *           options LINE      the options of a command line
 *           format            formatter against snprintf()
 *           stats NUMBER...   minimum, mean, p50, p99, maximum
 *           ring, message     check themselves
 */
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "check.h"
#include "format.h"
#include "machine.h"
#include "message.h"
#include "options.h"
#include "ring.h"
#include "stats.h"

static int machine_of(const char *path)
{
	FILE *file = fopen(path, "rb");
	static struct machine m;
	struct device device;
	const char *problem;
	uint8_t *blob;
	size_t size;

	CHECK(file);
	CHECK(fseek(file, 0, SEEK_END) == 0);
	size = (size_t)ftell(file);
	rewind(file);
	/* Exactly as large as the file, so that the sanitizer sees every byte read beyond it. */
	blob = malloc(size ? size : 1);
	CHECK(fread(blob, 1, size, file) == size);
	fclose(file);
	if (!fdt_open(&m.fdt, blob, size)) {
		puts("no device tree");
		free(blob);
		return 0;
	}
	problem = machine_read(&m);
	if (problem)
		printf("problem: %s\n", problem);
	else
		printf("memory %#lx+%#lx gic %#lx %#lx timer %u events %u xen %s bootargs [%s]\n",
		       m.memory.base, m.memory.size, m.gic_distributor.base,
		       m.gic_redistributor.base, m.timer_irq, m.event_irq, m.xen, m.bootargs);
	if (machine_device(&m, "hetoci,vadd", &device))
		printf("device %#lx+%#lx %#lx+%#lx irq %u %s\n", device.reg[0].base,
		       device.reg[0].size, device.reg[1].base, device.reg[1].size, device.irq,
		       device.edge ? "edge" : "level");
	free(blob);
	return 0;
}

static int options_of(const char *line)
{
	uint32_t period = 1000, tasks = 3;
	const struct option options[] = { { "period", 100, 1000000, &period },
					  { "tasks", 0, 6, &tasks } };
	char error[160];

	if (options_parse(line, options, 2, error, sizeof(error)))
		printf("period %u tasks %u\n", period, tasks);
	else
		printf("%s\n", error);
	CHECK(period == 1000 || strstr(line, "period="));
	return 0;
}

#define SAME(...)								\
	do {									\
		char ours[32], theirs[32];					\
		int length = snprintf(theirs, sizeof(theirs), __VA_ARGS__);	\
		size_t used = format(ours, sizeof(ours), __VA_ARGS__);		\
		CHECK(strcmp(ours, theirs) == 0);				\
		CHECK(used == (size_t)(length < 31 ? length : 31));		\
	} while (0)

static int formats(void)
{
	static const long numbers[] = { 0, 1, -1, 9, 10, 255, INT_MAX, INT_MIN, LONG_MAX, LONG_MIN };
	char one[1];

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		SAME("%d|%5d|%-5d|%03d", (int)numbers[i], (int)i, (int)i, (int)i);
		SAME("%ld", numbers[i]);
		SAME("%lu %lx", (unsigned long)numbers[i], (unsigned long)numbers[i]);
		SAME("%u %x", (unsigned int)numbers[i], (unsigned int)numbers[i]);
		SAME("%016lx", (unsigned long)numbers[i]);
	}
	SAME("%05d|%-6d|%2u", -42, -42, 12345u);
	SAME("%s|%6s|%-6s|%%|%c", "a", "bc", "def", 'x');
	SAME("%s", "much longer than the thirty-two bytes that there are");
	SAME("%zu", sizeof(long));
	CHECK(format(one, 1, "abc") == 0 && one[0] == '\0');
	return 0;
}

static int stats_of(int count, char **numbers)
{
	static struct stats half[2];

	stats_clear(&half[0]);
	stats_clear(&half[1]);
	for (int i = 0; i < count; i++)
		stats_add(&half[i % 2], strtoull(numbers[i], NULL, 10));
	stats_merge(&half[0], &half[1]);
	printf("%lu %lu %lu %lu %lu %lu\n", half[0].count ? half[0].min : 0, stats_mean(&half[0]),
	       stats_percentile(&half[0], 500), stats_percentile(&half[0], 990), half[0].max,
	       stats_below(&half[0], 1024));
	return 0;
}

static int rings(void)
{
	char bytes[8], out[16];
	uint32_t cons = UINT32_MAX - 2, prod = cons;	/* wraps around soon */
	struct ring ring = { bytes, sizeof(bytes), &cons, &prod };

	for (int round = 0; round < 20; round++) {
		CHECK(ring_put(&ring, "0123456789", 10) == 8);
		CHECK(ring_used(&ring) == 8);
		CHECK(ring_put(&ring, "x", 1) == 0);
		CHECK(ring_take(&ring, out, 5) == 5 && memcmp(out, "01234", 5) == 0);
		CHECK(ring_take(&ring, out, sizeof(out)) == 3 && memcmp(out, "567", 3) == 0);
		CHECK(ring_take(&ring, out, 1) == 0);
	}
	/* Indices that the other side made up give nothing, and nothing is written outside. */
	cons = prod + 1;
	CHECK(ring_used(&ring) == 0 && ring_put(&ring, "abc", 3) == 0);
	cons = prod - 9;
	CHECK(ring_used(&ring) == 0 && ring_put(&ring, "abc", 3) == 0);
	return 0;
}

static int messages(void)
{
	char made[MESSAGE_BYTES], long_value[200];
	struct message_reader reader = { 0 };
	uint32_t header[4] = { XS_READ, 7, 0, 300 };
	size_t length = message_make(made, sizeof(made), XS_WRITE, 5, "a/b", "12", false);
	int complete = 0;

	CHECK(length == 16 + 4 + 2 && memcmp(made + 16, "a/b\00012", 6) == 0);
	for (int again = 0; again < 2; again++) {
		for (size_t i = 0; i < length; i++)
			CHECK(message_feed(&reader, made[i]) == (i + 1 == length));
		CHECK(reader.message.type == XS_WRITE && reader.message.request == 5);
		CHECK(reader.message.length == 6 && memcmp(reader.message.payload, "a/b\00012", 7) == 0);
	}
	length = message_make(made, sizeof(made), XS_WATCH, 1, "p", "t", true);
	CHECK(length == 16 + 4 && memcmp(made + 16, "p\0t", 4) == 0);
	length = message_make(made, sizeof(made), XS_READ, 1, "p", NULL, false);
	CHECK(length == 16 + 2);
	memset(long_value, 'x', sizeof(long_value) - 1);
	long_value[sizeof(long_value) - 1] = '\0';
	CHECK(message_make(made, sizeof(made), XS_WRITE, 1, "p", long_value, false) == 0);
	/* A payload that is too long is cut, and the next message is found behind it. */
	for (size_t i = 0; i < sizeof(header); i++)
		complete += message_feed(&reader, ((char *)header)[i]);
	for (int i = 0; i < 300; i++)
		complete += message_feed(&reader, 'y');
	CHECK(complete == 1 && reader.message.length == MESSAGE_BYTES - 1);
	CHECK(strlen(reader.message.payload) == MESSAGE_BYTES - 1);
	/* Without a payload it ends with its header. */
	header[3] = 0;
	for (size_t i = 0; i < sizeof(header); i++)
		CHECK(message_feed(&reader, ((char *)header)[i]) == (i == sizeof(header) - 1));
	CHECK(reader.message.length == 0);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (argc == 3 && strcmp(what, "machine") == 0)
		return machine_of(argv[2]);
	if (argc == 3 && strcmp(what, "options") == 0)
		return options_of(argv[2]);
	if (strcmp(what, "format") == 0)
		return formats();
	if (strcmp(what, "stats") == 0)
		return stats_of(argc - 2, argv + 2);
	if (strcmp(what, "ring") == 0)
		return rings();
	if (strcmp(what, "message") == 0)
		return messages();
	return 2;
}
