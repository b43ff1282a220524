// A CPU that virtualizes the local APIC, played on its page and the guest interrupt status by the
// rules of "Virtual-Interrupt Delivery", "EOI Virtualization", "Self-IPI Virtualization" and
// "Posted-Interrupt Processing".
#pragma once

#include "vm/apic/lapic_vectors.h"

static inline void cpu_set(struct lapic *apic, unsigned base, unsigned vector, bool on)
{
    uint32_t *word = vectors_word(apic, base, vector);
    *word = on ? *word | BIT32(vector % 32) : *word & ~BIT32(vector % 32);
}

static inline uint32_t cpu_highest(struct lapic *apic, unsigned base)
{
    int vector = vectors_highest(apic, base, vectors_groups(apic, base));
    return vector < 0 ? 0 : (uint32_t)vector;
}

// The vector that it delivers to a guest whose interrupts are open, or -1.
static inline int cpu_delivers(struct lapic *apic, uint32_t *status)
{
    uint32_t vector = *status & 0xff, service = *status >> 8;
    uint32_t class = MAX(service, lapic_get(apic, LAPIC_TPR)) >> 4;
    if (vector >> 4 <= class)
        return -1;
    cpu_set(apic, LAPIC_ISR, vector, true);
    cpu_set(apic, LAPIC_IRR, vector, false);
    *status = vector << 8 | cpu_highest(apic, LAPIC_IRR);
    return (int)vector;
}

// The vector that it ends.
static inline uint8_t cpu_ends(struct lapic *apic, uint32_t *status)
{
    uint8_t vector = (uint8_t)(*status >> 8);
    cpu_set(apic, LAPIC_ISR, vector, false);
    *status = cpu_highest(apic, LAPIC_ISR) << 8 | (*status & 0xff);
    return vector;
}

static inline void cpu_requests(struct lapic *apic, uint32_t *status, uint32_t vector)
{
    cpu_set(apic, LAPIC_IRR, vector, true);
    *status = (*status & 0xff00) | MAX(*status & 0xff, vector);
}

static inline void cpu_takes_posted(struct lapic *apic, uint32_t *status)
{
    atomic_fetch_and(&apic->page->posted.control, ~POSTED_OUTSTANDING);
    for (unsigned i = 0; i < LAPIC_GROUPS; i++) {
        uint32_t bits = atomic_exchange(&apic->page->posted.request[i], 0);
        for (; bits; bits &= bits - 1)
            cpu_requests(apic, status, i * 32 + lowest_bit(bits));
    }
}
