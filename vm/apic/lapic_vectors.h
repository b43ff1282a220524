// The arrays of 256 vectors in a local APIC's page, ISR, TMR and IRR: eight words of 32 vectors
// each. For the files of the local APIC.
#pragma once

#include "vm/apic/lapic.h"

// The word of ISR, TMR or IRR that holds a vector.
static inline uint32_t *vectors_word(struct lapic *lapic, unsigned base, unsigned vector)
{
    return &lapic->page->word[base / 4 + vector / 32 * 4];
}

static inline uint32_t vectors_get(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void vectors_set(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

// The highest vector in ISR or IRR, whose words that are not zero `groups` names; -1 if none.
static inline int vectors_highest(struct lapic *lapic, unsigned base, uint32_t groups)
{
    if (groups == 0)
        return -1;
    unsigned first = highest_bit(groups) * 32;
    return (int)(first + highest_bit(vectors_get(vectors_word(lapic, base, first))));
}

// Which words of ISR or IRR are not zero.
static inline uint32_t vectors_groups(struct lapic *lapic, unsigned base)
{
    uint32_t groups = 0;
    for (unsigned i = 0; i < LAPIC_GROUPS; i++)
        if (vectors_get(vectors_word(lapic, base, i * 32)))
            groups |= BIT32(i);
    return groups;
}

static inline bool vectors_has(struct lapic *lapic, unsigned base, unsigned vector)
{
    return vectors_get(vectors_word(lapic, base, vector)) & BIT32(vector % 32);
}
