// A hash table with open addressing and a bounded probe: see vm/tally.h. Called by the buses for
// unclaimed addresses and by the operator's lists.
#include "vm/tally.h"

#define PROBES 8

// Claims the entry for `key`, or finds it claimed for the same key already.
static bool entry_is_for(struct tally_entry *entry, uint64_t key)
{
    uint64_t present = atomic_load_explicit(&entry->key, memory_order_relaxed);
    if (__builtin_expect(present == key, true))
        return true;
    if (present != 0)
        return false;
    return atomic_compare_exchange_strong_explicit(&entry->key, &present, key, memory_order_relaxed,
                                                   memory_order_relaxed) ||
           present == key;
}

void tally_count(struct tally *tally, uint64_t address)
{
    uint64_t key = address + 1;
    // Fibonacci hashing: neighbours spread over the table.
    uint64_t at = (key * UINT64_C(0x9e3779b97f4a7c15)) >> 32;
    for (unsigned probe = 0; probe < PROBES; probe++) {
        struct tally_entry *entry = &tally->entry[(at + probe) & (TALLY_ENTRIES - 1)];
        if (entry_is_for(entry, key)) {
            atomic_fetch_add_explicit(&entry->count, 1, memory_order_relaxed);
            return;
        }
    }
    atomic_fetch_add_explicit(&tally->others, 1, memory_order_relaxed);
}

bool tally_next(const struct tally *tally, unsigned *position, uint64_t *address, uint64_t *count)
{
    while (*position < TALLY_ENTRIES) {
        const struct tally_entry *entry = &tally->entry[(*position)++];
        uint64_t key = atomic_load_explicit(&entry->key, memory_order_relaxed);
        if (key != 0) {
            *address = key - 1;
            *count = atomic_load_explicit(&entry->count, memory_order_relaxed);
            return true;
        }
    }
    return false;
}
