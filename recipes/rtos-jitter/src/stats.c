/* SPDX-License-Identifier: MIT */
#include "mem.h"
#include "stats.h"

#define SUB_BITS	3
#define SUB		(1u << SUB_BITS)

/* Values below 8 have a bucket each; above, each power of two has eight. */
static unsigned int bucket_of(uint64_t ns)
{
	unsigned int power, bucket;

	if (ns < SUB)
		return (unsigned int)ns;
	power = 63 - (unsigned int)__builtin_clzll(ns);
	bucket = (power - SUB_BITS + 1) * SUB + (unsigned int)((ns >> (power - SUB_BITS)) % SUB);
	return bucket < STATS_BUCKETS ? bucket : STATS_BUCKETS - 1;
}

/* The largest value of a bucket; the last one has no end. */
static uint64_t end_of(unsigned int bucket)
{
	unsigned int shift = bucket / SUB - 1;

	if (bucket < SUB)
		return bucket;
	if (bucket == STATS_BUCKETS - 1)
		return UINT64_MAX;
	return ((uint64_t)(SUB + bucket % SUB + 1) << shift) - 1;
}

void stats_clear(struct stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	stats->min = UINT64_MAX;
}

void stats_add(struct stats *stats, uint64_t ns)
{
	stats->count++;
	stats->sum += ns;
	if (ns < stats->min)
		stats->min = ns;
	if (ns > stats->max)
		stats->max = ns;
	stats->buckets[bucket_of(ns)]++;
}

void stats_merge(struct stats *into, const struct stats *from)
{
	into->count += from->count;
	into->sum += from->sum;
	if (from->min < into->min)
		into->min = from->min;
	if (from->max > into->max)
		into->max = from->max;
	for (unsigned int i = 0; i < STATS_BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
}

uint64_t stats_mean(const struct stats *stats)
{
	return stats->count ? stats->sum / stats->count : 0;
}

uint64_t stats_percentile(const struct stats *stats, unsigned int permille)
{
	uint64_t wanted = (stats->count * permille + 999) / 1000;
	uint64_t seen = 0;

	for (unsigned int i = 0; i < STATS_BUCKETS && wanted; i++) {
		seen += stats->buckets[i];
		if (seen >= wanted)
			return end_of(i) < stats->max ? end_of(i) : stats->max;
	}
	return stats->count ? stats->max : 0;
}

uint64_t stats_below(const struct stats *stats, uint64_t ns)
{
	uint64_t seen = 0;

	for (unsigned int i = 0; i < bucket_of(ns); i++)
		seen += stats->buckets[i];
	return seen;
}
