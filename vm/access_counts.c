// A hash table with open addressing and a bounded probe: see vm/access_counts.h. Called by the
// buses for unclaimed addresses and by the operator's lists.
#include "vm/access_counts.h"

#define PROBES 8

// Claims the entry for `key`, or finds it claimed for the same key already.
static bool entry_is_for(struct access_count *entry, uint64_t key)
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

void access_counts_add(struct access_counts *counts, uint64_t address)
{
    uint64_t key = address + 1;
    // Fibonacci hashing: neighbours spread over the table.
    uint64_t at = (key * UINT64_C(0x9e3779b97f4a7c15)) >> 32;
    for (unsigned probe = 0; probe < PROBES; probe++) {
        struct access_count *entry = &counts->entry[(at + probe) & (ACCESS_COUNTS - 1)];
        if (entry_is_for(entry, key)) {
            atomic_fetch_add_explicit(&entry->count, 1, memory_order_relaxed);
            return;
        }
    }
    atomic_fetch_add_explicit(&counts->others, 1, memory_order_relaxed);
}

uint64_t access_counts_total(const struct access_counts *counts)
{
    uint64_t total = atomic_load_explicit(&counts->others, memory_order_relaxed);
    for (unsigned i = 0; i < ACCESS_COUNTS; i++)
        total += atomic_load_explicit(&counts->entry[i].count, memory_order_relaxed);
    return total;
}

bool access_counts_next(const struct access_counts *counts, unsigned *position, uint64_t *address,
                        uint64_t *count)
{
    while (*position < ACCESS_COUNTS) {
        const struct access_count *entry = &counts->entry[(*position)++];
        uint64_t key = atomic_load_explicit(&entry->key, memory_order_relaxed);
        if (key != 0) {
            *address = key - 1;
            *count = atomic_load_explicit(&entry->count, memory_order_relaxed);
            return true;
        }
    }
    return false;
}
