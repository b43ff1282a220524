// Lists of CPUID leaves: collected from the CPU, searched, and what follows from them. The policy
// is in vm/cpu/cpuid.c. SDM: "CPUID-CPU Identification", "XSAVE Area".

#include "vm/cpu/cpuid_rules.h"

#define XSAVE_HEADER_END 576U     // legacy region and header
#define COMPONENT_ALIGN  BIT32(1) // in ECX of its sub-leaf: 64-byte aligned in the compacted format

void cpuid_add(struct cpuid_leaves *leaves, struct cpuid_leaf leaf)
{
    if (leaves->count < CPUID_LEAVES)
        leaves->leaf[leaves->count] = leaf;
    leaves->count++;
}

const struct cpuid_leaf *cpuid_find(const struct cpuid_leaves *leaves, uint32_t leaf,
                                    uint32_t subleaf)
{
    static const struct cpuid_leaf nothing;
    for (unsigned i = 0; i < leaves->count; i++)
        if (leaves->leaf[i].leaf == leaf && leaves->leaf[i].subleaf == subleaf)
            return &leaves->leaf[i];
    return &nothing;
}

bool cpuid_has(const struct cpuid_policy *policy, uint32_t feature)
{
    const struct cpuid_slot *slot = &policy->slot[cpuid_slot_of(CPUID_BIT_LEAF(feature))];
    uint32_t subleaf = CPUID_BIT_SUBLEAF(feature);
    if (subleaf && subleaf >= slot->count)
        return false;
    const struct cpuid_leaf *leaf = &policy->leaves.leaf[slot->first + subleaf];
    const uint32_t value[] = {leaf->eax, leaf->ebx, leaf->ecx, leaf->edx};
    return value[CPUID_BIT_IN(feature)] & BIT32(CPUID_BIT_BIT(feature));
}

// How far the sub-leaves of a leaf go, as the leaf itself tells; the rest have one that matters.
static bool has_more(const struct cpuid_leaf *leaf, uint32_t most_7)
{
    switch (leaf->leaf) {
    case 0x4:
        return (leaf->eax & 0x1f) != 0 && leaf->subleaf < 7;
    case 0x7:
        return leaf->subleaf < MIN(most_7, 1U);
    case 0xd:
        return leaf->subleaf < 9;
    default:
        return false;
    }
}

static void collect_leaf(struct cpuid_leaves *host, cpuid_execute *execute, uint32_t number)
{
    uint32_t most_7 = 0;
    for (uint32_t subleaf = 0; host->count < CPUID_LEAVES; subleaf++) {
        struct cpuid_leaf *leaf = &host->leaf[host->count++];
        execute(number, subleaf, leaf);
        leaf->leaf = number;
        leaf->subleaf = subleaf;
        if (subleaf == 0)
            most_7 = leaf->eax;
        if (!has_more(leaf, most_7))
            break;
    }
}

void cpuid_collect(struct cpuid_leaves *host, cpuid_execute *execute)
{
    struct cpuid_leaf limit;
    host->count = 0;
    execute(0, 0, &limit);
    for (uint32_t leaf = 0; leaf <= MIN(limit.eax, 0x1fU); leaf++)
        collect_leaf(host, execute, leaf);
    execute(0x80000000, 0, &limit);
    if (limit.eax < 0x80000000)
        return;
    for (uint32_t leaf = 0x80000000; leaf <= MIN(limit.eax, 0x80000008U); leaf++)
        collect_leaf(host, execute, leaf);
}

uint32_t cpuid_xsave_size(const struct cpuid_policy *policy, uint64_t xcr0)
{
    uint32_t size = XSAVE_HEADER_END;
    for (uint64_t left = xcr0 & policy->xcr0_allowed & ~UINT64_C(3); left; left &= left - 1) {
        const struct cpuid_leaf *component = cpuid_find(&policy->leaves, 0xd, lowest_bit(left));
        size = MAX(size, component->ebx + component->eax);
    }
    return size;
}

uint32_t cpuid_xsave_compacted_size(const struct cpuid_policy *policy, uint64_t components)
{
    uint32_t size = XSAVE_HEADER_END;
    for (uint64_t left = components & policy->xcr0_allowed & ~UINT64_C(3); left; left &= left - 1) {
        const struct cpuid_leaf *component = cpuid_find(&policy->leaves, 0xd, lowest_bit(left));
        if (component->ecx & COMPONENT_ALIGN)
            size = (uint32_t)align_up(size, 64);
        size += component->eax;
    }
    return size;
}
