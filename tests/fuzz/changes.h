// Memory that changes between any two steps of the code that is tried: when so many of its blocks
// have run (tests/fuzz.mk).
#pragma once

#include <stdint.h>
#include <string.h>

#define CHANGES 4

static struct change {
    unsigned blocks, size;
    uint8_t *at;
    uint64_t value;
} changes[CHANGES];
static unsigned next_change;

void __wrap___sanitizer_cov_trace_pc(void);

__attribute__((no_sanitize("coverage"))) void __wrap___sanitizer_cov_trace_pc(void)
{
    for (struct change *change = changes; change < changes + CHANGES; change++)
        if (change->blocks && --change->blocks == 0)
            memcpy(change->at, &change->value, change->size);
}
