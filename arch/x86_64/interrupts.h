// Short pieces of code that no interrupt of this CPU may cut.
#pragma once

#include <stdint.h>

#define RFLAGS_INTERRUPTS UINT64_C(0x200)

// Disables interrupts. Returns the flags from before, for interrupts_restore().
static inline uint64_t interrupts_save(void)
{
    uint64_t flags;
    __asm__ volatile("pushfq; popq %0; cli" : "=r"(flags) : : "memory");
    return flags;
}

static inline void interrupts_restore(uint64_t flags)
{
    if (flags & RFLAGS_INTERRUPTS)
        __asm__ volatile("sti" : : : "memory");
}
