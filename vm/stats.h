// Exit statistics of one vCPU, always on: for each reason a count, cycles in total, the longest, and a log2 histogram.
#pragma once

#include "lib/bits.h"
#include "vm/exit.h"

#define STATS_BUCKETS 32 // bucket n counts exits of 2^n to 2^(n+1)-1 cycles; the last also all longer ones

struct exit_counter {
    uint64_t count;
    uint64_t cycles; // spent in root operation, TSC ticks
    uint64_t longest;
    uint64_t histogram[STATS_BUCKETS];
};

struct exit_stats {
    struct exit_counter by_reason[EXIT_REASONS];
};

static inline void stats_count(struct exit_stats *stats, uint32_t reason, uint64_t cycles)
{
    struct exit_counter *counter = &stats->by_reason[reason];
    unsigned bucket = highest_bit(cycles | 1);
    counter->count++;
    counter->cycles += cycles;
    if (cycles > counter->longest)
        counter->longest = cycles;
    counter->histogram[bucket < STATS_BUCKETS ? bucket : STATS_BUCKETS - 1]++;
}
