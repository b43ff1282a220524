// The time-stamp counter, and the hint for loops that wait.
#pragma once

#include <stdint.h>

// Not ordered against other loads: for timestamps, deadlines and statistics.
static inline uint64_t rdtsc(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

// After every earlier load, before every later instruction: for measuring.
static inline uint64_t rdtsc_ordered(void)
{
    uint32_t low, high;
    __asm__ volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

static inline void pause(void)
{
    __asm__ volatile("pause" : : : "memory");
}
