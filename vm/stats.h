// Exit statistics of one vCPU, always on: for each reason the cycles in total, the longest exit, and a log2 histogram
// (whose sum is the count).
#pragma once

#include "lib/bits.h"
#include "vm/exit.h"

#define STATS_BUCKETS 32           // bucket n counts exits of 2^n to 2^(n+1)-1 cycles
#define STATS_OTHER   EXIT_REASONS // root operation that no exit asked for: requests, timers, the first entry
#define STATS_REASONS (EXIT_REASONS + 1)

struct exit_stats {
    struct {
        uint64_t cycles; // spent in root operation, TSC ticks
        uint64_t longest;
    } sum[STATS_REASONS];
    uint64_t histogram[STATS_REASONS][STATS_BUCKETS];
};

// On the hot path. An exit that keeps a vCPU off its CPU ends when it leaves, so 32 bits of cycles are enough.
static inline void stats_count(struct exit_stats *stats, uint32_t reason, uint32_t cycles)
{
    stats->sum[reason].cycles += cycles;
    if (cycles > stats->sum[reason].longest)
        stats->sum[reason].longest = cycles;
    stats->histogram[reason][31U - (unsigned)__builtin_clz(cycles | 1)]++;
}

struct exit_counter {
    uint64_t count;
    uint64_t cycles;
    uint64_t longest;
};

// Adds one reason's figures to `total`.
static inline void stats_add(struct exit_counter *total, const struct exit_stats *stats,
                             uint32_t reason)
{
    for (unsigned bucket = 0; bucket < STATS_BUCKETS; bucket++)
        total->count += stats->histogram[reason][bucket];
    total->cycles += stats->sum[reason].cycles;
    total->longest = MAX(total->longest, stats->sum[reason].longest);
}
