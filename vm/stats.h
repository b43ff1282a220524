// Exit statistics of one vCPU, always on: for each reason the count, the cycles in total and the
// longest exit.
#pragma once

#include "lib/bits.h"
#include "vm/exit.h"

#define STATS_OTHER                                                                                \
    EXIT_REASONS // root operation that no exit asked for: requests, timers, the first entry
#define STATS_REASONS (EXIT_REASONS + 1)

struct exit_counter {
    uint64_t count;
    uint64_t cycles; // spent in root operation, TSC ticks
    uint64_t longest;
} __attribute__((aligned(32)));
_Static_assert(sizeof(struct exit_counter) == sizeof(struct exit_row), "one shift finds both");

struct exit_stats {
    struct exit_counter reason[STATS_REASONS];
};

// On the hot path. An exit that keeps a vCPU off its CPU ends when it leaves, so 32 bits of cycles
// are enough.
static inline void stats_count(struct exit_counter *counter, uint32_t cycles)
{
    counter->count++;
    counter->cycles += cycles;
    if (cycles > counter->longest)
        counter->longest = cycles;
}

// Adds one reason's figures to `total`.
static inline void stats_add(struct exit_counter *total, const struct exit_stats *stats,
                             uint32_t reason)
{
    const struct exit_counter *counter = &stats->reason[reason];
    total->count += counter->count;
    total->cycles += counter->cycles;
    total->longest = MAX(total->longest, counter->longest);
}
