// Between the programs of `make bench-io`, which run in a Linux guest.
#pragma once

#include <stdint.h>

#define SAMPLES 1000

static inline uint64_t ticks(void)
{
    unsigned low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

// Switches the VM off.
__attribute__((noreturn)) void end(void);
__attribute__((noreturn)) void fail(const char *what);

// Prints `io NAME TICKS`: the median of the first `count`, each of which is of so many requests.
extern uint64_t samples[SAMPLES];
void tell(const char *name, unsigned count, unsigned requests);

void measure_disk(void);

// The two ends of a network.
void measure_network(const char *server);
void serve_network(void);
