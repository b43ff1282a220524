// Exit statistics of one vCPU, always on: for each reason how many exits took how long, the cycles
// in total and the longest exit.
#pragma once

#include "lib/bits.h"
#include "vm/exit.h"

// root operation that no exit asked for: requests, timers, the first entry
#define STATS_OTHER   EXIT_REASONS
#define STATS_REASONS (EXIT_REASONS + 1)
#define STATS_BUCKETS 32 // bucket n counts exits of 2^n to 2^(n+1)-1 cycles

// What a leaf of exit statistics tells: EAX for exits, EBX:ECX for cycles.
#define STATS_LEAF_FIRST     0x4ffffffcU
#define STATS_LEAVES         4
#define STATS_LEAF_EXITS     1
#define STATS_LEAF_CYCLES    2
#define STATS_LEAF_BY_REASON 4 // of the exit reason in ECX; else of all reasons

// What is known of a reason, or of several together.
struct exit_counter {
    uint64_t count;
    uint64_t cycles; // spent in root operation, TSC ticks
    uint64_t longest;
};

struct exit_cost {
    uint64_t cycles;
    uint64_t longest;
} __attribute__((aligned(32)));
_Static_assert(sizeof(struct exit_cost) == sizeof(struct exit_row), "one shift finds both");
_Static_assert(sizeof(struct exit_cost) == STATS_BUCKETS, "and the histogram");

struct exit_stats {
    struct exit_cost cost[STATS_REASONS];
    uint64_t histogram[STATS_REASONS * STATS_BUCKETS]; // a reason's buckets add up to its count
};

// Where a reason's figures are: an offset into `cost`, an index into `histogram`.
#define STATS_AT(reason) ((uint64_t)(reason)*STATS_BUCKETS)

// On the hot path. An exit that keeps a vCPU off its CPU ends when it leaves, so 32 bits of cycles
// are enough.
static inline void stats_count(struct exit_stats *stats, uint64_t at, uint32_t cycles)
{
    struct exit_cost *cost = (struct exit_cost *)(void *)((char *)stats->cost + at);
    uint64_t bucket = cycles;
    cost->cycles += cycles;
    if (cycles > cost->longest)
        cost->longest = cycles;
    __asm__("bsr %0, %0" : "+r"(bucket) : : "cc"); // of 0 it leaves 0
    stats->histogram[at + bucket]++;
}

// How many exits a reason has had; on any CPU.
static inline uint64_t stats_exits(const struct exit_stats *stats, uint32_t reason)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < STATS_BUCKETS; i++)
        count += __atomic_load_n(&stats->histogram[STATS_AT(reason) + i], __ATOMIC_RELAXED);
    return count;
}

// Adds one reason's figures to `total`.
static inline void stats_add(struct exit_counter *total, const struct exit_stats *stats,
                             uint32_t reason)
{
    const struct exit_cost *cost = &stats->cost[reason];
    total->count += stats_exits(stats, reason);
    total->cycles += cost->cycles;
    total->longest = MAX(total->longest, cost->longest);
}
