/* SPDX-License-Identifier: MIT */
/* Statistics of times in nanoseconds: exact extremes and mean, percentiles by a histogram whose
 * buckets are an eighth of their power of two wide. */
#ifndef STATS_H
#define STATS_H

#include <stdint.h>

#define STATS_BUCKETS	272	/* up to 2^36 ns, 68 s; longer times count as that */

struct stats {
	uint64_t count;
	uint64_t sum;
	uint64_t min, max;
	uint32_t buckets[STATS_BUCKETS];
};

void stats_clear(struct stats *stats);
void stats_add(struct stats *stats, uint64_t ns);
void stats_merge(struct stats *into, const struct stats *from);

/* Mean, 0 without values. */
uint64_t stats_mean(const struct stats *stats);

/* A value that at least `permille` of 1000 values do not exceed: the end of a bucket, so at most an
 * eighth too large, and never above the maximum. */
uint64_t stats_percentile(const struct stats *stats, unsigned int permille);

/* How many values lie below `ns`, which has to be a power of two of at least 8. */
uint64_t stats_below(const struct stats *stats, uint64_t ns);

#endif
