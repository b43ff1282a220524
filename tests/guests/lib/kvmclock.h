// The paravirtual clock as a guest reads it.
#pragma once

#include "tests/guests/lib/guest.h"

#define MSR_SYSTEM_TIME 0x4b564d01

// As in the documentation of KVM: MSR_KVM_SYSTEM_TIME_NEW.
static volatile struct clock_page {
    uint32_t version, reserved;
    uint64_t tsc, nanoseconds;
    uint32_t factor;
    int8_t shift;
    uint8_t flags, padding[2];
} clock_page;

static uint64_t kvmclock(void)
{
    uint32_t version;
    uint64_t nanoseconds;
    do {
        version = clock_page.version & ~1U;
        uint64_t ticks = read_tsc() - clock_page.tsc;
        ticks = clock_page.shift < 0 ? ticks >> -clock_page.shift : ticks << clock_page.shift;
        nanoseconds = clock_page.nanoseconds +
                      (uint64_t)(((unsigned __int128)ticks * clock_page.factor) >> 32);
    } while (version != clock_page.version);
    return nanoseconds;
}
