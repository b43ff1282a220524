// CPUID over all CPUs: see features.h.

#include "arch/x86_64/features.h"

#include <stdatomic.h>

// Registers whose bits are features, and what some CPU lacks of them.
static struct {
    uint32_t leaf, subleaf;
    bool eax, ebx, ecx, edx;
    _Atomic uint32_t lacks[4];
} rows[] = {
    {.leaf = 1, .ecx = true, .edx = true},    {.leaf = 7, .ebx = true, .ecx = true, .edx = true},
    {.leaf = 7, .subleaf = 1, .eax = true},   {.leaf = 0xd, .eax = true, .edx = true},
    {.leaf = 0xd, .subleaf = 1, .eax = true}, {.leaf = 0x80000001, .ecx = true, .edx = true},
};

static bool exists(uint32_t leaf)
{
    return leaf <= cpuid(leaf & 0x80000000, 0).eax;
}

void features_note(void)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct cpuid_result has = {0};
        if (exists(rows[i].leaf))
            has = cpuid(rows[i].leaf, rows[i].subleaf);
        atomic_fetch_or(&rows[i].lacks[0], rows[i].eax ? ~has.eax : 0);
        atomic_fetch_or(&rows[i].lacks[1], rows[i].ebx ? ~has.ebx : 0);
        atomic_fetch_or(&rows[i].lacks[2], rows[i].ecx ? ~has.ecx : 0);
        atomic_fetch_or(&rows[i].lacks[3], rows[i].edx ? ~has.edx : 0);
    }
}

struct cpuid_result features_common(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_result result = cpuid(leaf, subleaf);
    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++) {
        if (rows[i].leaf != leaf || rows[i].subleaf != subleaf)
            continue;
        result.eax &= ~rows[i].lacks[0];
        result.ebx &= ~rows[i].lacks[1];
        result.ecx &= ~rows[i].lacks[2];
        result.edx &= ~rows[i].lacks[3];
    }
    return result;
}
