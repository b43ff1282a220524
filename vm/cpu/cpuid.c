// What a VM's guests read with CPUID: the leaves of the policy's table (vm/cpu/cpuid_rules.c) and
// those that are computed: topology, XSAVE sizes, frequencies, the hypervisor's own. Built once for
// each VM. SDM: "CPUID-CPU Identification".

#include "vm/cpu/cpuid_rules.h"

#include "lib/string.h"

#define MAX_BASIC_LEAST 0x16
#define MAX_BASIC_MOST  0x1f
#define MAX_EXTENDED    0x80000008U
#define HYPERVISOR      0x40000000U
#define MAX_HYPERVISOR  0x40000010U

// XSAVE components that guests may use: x87, SSE, AVX, AVX-512 (3), PKRU.
#define XCR0_X87    BIT(0)
#define XCR0_SSE    BIT(1)
#define XCR0_BASE   (XCR0_X87 | XCR0_SSE)
#define XSAVE_LAST  9
#define XCR0_AVX    BIT(2)
#define XCR0_AVX512 BITS(7, 5)
#define XCR0_PKRU   BIT(9)

static unsigned log2_up(unsigned count)
{
    return count < 2 ? 0 : highest_bit(count - 1) + 1;
}

// One package, one core for each vCPU; the third-level cache is shared by all, the others by none.
static void add_topology(struct cpuid_leaves *leaves, const struct cpuid_leaves *host,
                         unsigned vcpus, bool has_1f)
{
    unsigned shift = log2_up(vcpus);
    uint32_t ids = BIT32(shift);

    cpuid_listed(leaves, 1, 0)->ebx |= ids << 16;

    for (unsigned subleaf = 0; subleaf < 8; subleaf++) {
        struct cpuid_leaf cache = *cpuid_find(host, 4, subleaf);
        bool is_shared = FIELD_GET(UINT32_C(0xe0), cache.eax) >= 3;
        if ((cache.eax & 0x1f) == 0)
            break;
        cache.eax = (cache.eax & 0x3fff) | (is_shared ? ids - 1 : 0) << 14 |
                    MIN(ids - 1, UINT32_C(63)) << 26;
        cpuid_add(leaves, cache);
    }

    static const uint32_t numbers[] = {0xb, 0x1f};
    for (unsigned i = 0; i < (has_1f ? 2 : 1); i++) {
        cpuid_add(leaves, (struct cpuid_leaf){numbers[i], 0, 0, 1, 0x100, 0});
        cpuid_add(leaves, (struct cpuid_leaf){numbers[i], 1, shift, vcpus, 0x201, 0});
    }
}

// Keeps only what the host's sub-leaves really describe: a component without a size does not exist.
static uint64_t xcr0_allowed(const struct cpuid_leaves *leaves, const struct cpuid_leaves *host)
{
    if (!cpuid_lists(leaves, CPUID_XSAVE))
        return 0;
    uint64_t allowed =
        cpuid_find(host, 0xd, 0)->eax & (XCR0_BASE | XCR0_AVX | XCR0_AVX512 | XCR0_PKRU);
    for (unsigned i = 2; i <= XSAVE_LAST; i++)
        if (cpuid_find(host, 0xd, i)->eax == 0)
            allowed &= ~BIT(i);
    if (!cpuid_lists(leaves, CPUID_AVX))
        allowed &= ~XCR0_AVX;
    if (!cpuid_lists(leaves, CPUID_AVX512F))
        allowed &= ~XCR0_AVX512;
    if (!cpuid_lists(leaves, CPUID_PKU))
        allowed &= ~XCR0_PKRU;
    if (!(allowed & XCR0_AVX) || (allowed & XCR0_AVX512) != XCR0_AVX512)
        allowed &= ~XCR0_AVX512;
    return allowed;
}

bool cpuid_accepts_xcr0(const struct cpuid_policy *policy, uint64_t value)
{
    if (!(value & XCR0_X87) || (value & ~policy->xcr0_allowed))
        return false;
    if ((value & XCR0_AVX) && !(value & XCR0_SSE))
        return false;
    if (!(value & XCR0_AVX512))
        return true;
    return (value & XCR0_AVX512) == XCR0_AVX512 && (value & XCR0_AVX);
}

static void add_xsave(struct cpuid_policy *policy, const struct cpuid_leaves *host)
{
    struct cpuid_leaves *leaves = &policy->leaves;
    policy->xcr0_allowed = xcr0_allowed(leaves, host);
    if (policy->xcr0_allowed == 0) {
        cpuid_listed(leaves, 0xd, 1)->eax = 0;
        return;
    }
    for (unsigned i = 2; i <= XSAVE_LAST; i++) {
        struct cpuid_leaf component = {.leaf = 0xd, .subleaf = i};
        if (policy->xcr0_allowed & BIT(i))
            component = *cpuid_find(host, 0xd, i);
        cpuid_add(leaves, component);
    }
    uint32_t least = cpuid_xsave_size(policy, XCR0_X87);
    uint32_t most = cpuid_xsave_size(policy, policy->xcr0_allowed);
    cpuid_add(leaves, (struct cpuid_leaf){0xd, 0, (uint32_t)policy->xcr0_allowed, least, most, 0});
}

// Guests trust leaf 15H and then skip their own calibration, so it appears only where it can say
// the exact truth.
static void add_frequencies(struct cpuid_leaves *leaves, const struct cpuid_inputs *inputs)
{
    uint32_t mhz = (uint32_t)(inputs->tsc_hz / 1000000);
    uint64_t crystal = inputs->apic_hz;
    if (crystal && crystal <= UINT32_MAX && inputs->tsc_hz && inputs->tsc_hz % crystal == 0)
        cpuid_add(leaves, (struct cpuid_leaf){0x15, 0, 1, (uint32_t)(inputs->tsc_hz / crystal),
                                              (uint32_t)crystal, 0});
    if (mhz)
        cpuid_add(leaves, (struct cpuid_leaf){0x16, 0, mhz, mhz, 100, 0});
}

static void add_hypervisor(struct cpuid_leaves *leaves, const struct cpuid_inputs *inputs)
{
    // "KVMKVMKVM": guests then use x2APIC without interrupt remapping and the paravirtual clock.
    cpuid_add(leaves,
              (struct cpuid_leaf){HYPERVISOR, 0, MAX_HYPERVISOR, 0x4b4d564b, 0x564b4d56, 0x4d});
    cpuid_add(leaves, (struct cpuid_leaf){MAX_HYPERVISOR, 0, (uint32_t)(inputs->tsc_hz / 1000),
                                          (uint32_t)(inputs->apic_hz / 1000), 0, 0});
}

// By leaf, then sub-leaf, so that a leaf's sub-leaves are neighbours.
static void sort(struct cpuid_leaves *leaves)
{
    for (unsigned i = 1; i < leaves->count; i++) {
        struct cpuid_leaf moving = leaves->leaf[i];
        unsigned at = i;
        for (; at > 0; at--) {
            const struct cpuid_leaf *before = &leaves->leaf[at - 1];
            if (before->leaf < moving.leaf ||
                (before->leaf == moving.leaf && before->subleaf < moving.subleaf))
                break;
            leaves->leaf[at] = *before;
        }
        leaves->leaf[at] = moving;
    }
}

// Leaves whose result depends on ECX, or on the vCPU's state.
static const struct {
    uint32_t leaf;
    bool has_subleaves;
    enum cpuid_live live;
} kinds[] = {
    {0x1, false, CPUID_LIVE_FEATURES},  {0x4, true, CPUID_FIXED},
    {0x7, true, CPUID_LIVE_STRUCTURED}, {0xb, true, CPUID_LIVE_TOPOLOGY},
    {0xd, true, CPUID_LIVE_XSAVE},      {0x1f, true, CPUID_LIVE_TOPOLOGY},
};

static void index_leaves(struct cpuid_policy *policy)
{
    struct cpuid_leaves *leaves = &policy->leaves;
    const uint32_t last[] = {cpuid_find(leaves, 0, 0)->eax, MAX_HYPERVISOR, MAX_EXTENDED};

    for (unsigned i = 0; i < CPUID_SLOTS; i++)
        policy->slot[i] = (struct cpuid_slot){.first = policy->zero};
    for (unsigned i = 0; i < policy->zero; i++) {
        const struct cpuid_leaf *leaf = &leaves->leaf[i];
        struct cpuid_slot *slot = &policy->slot[cpuid_slot_of(leaf->leaf)];
        if (leaf->subleaf == 0)
            slot->first = (uint8_t)i;
        for (unsigned k = 0; k < ARRAY_LENGTH(kinds); k++)
            if (kinds[k].leaf == leaf->leaf) {
                slot->live = (uint8_t)kinds[k].live;
                slot->count = (uint8_t)(slot->count + kinds[k].has_subleaves);
            }
    }
    if (!policy->xcr0_allowed) // then leaf 0DH has nothing to tell, not even a size
        policy->slot[cpuid_slot_of(0xd)] = (struct cpuid_slot){.first = policy->zero};
    policy->beyond = policy->slot[cpuid_slot_of(last[0])];
    policy->beyond_live = policy->beyond.live;
    for (uint32_t at = 0; at < CPUID_SLOTS; at++) {
        uint32_t range = at % CPUID_RANGES, index = at / CPUID_RANGES;
        struct cpuid_slot *slot = &policy->slot[at];
        if (range >= ARRAY_LENGTH(last) || index > (last[range] & (CPUID_LEAVES_OF_RANGE - 1)))
            *slot = policy->beyond;
        const struct cpuid_leaf *leaf = &leaves->leaf[slot->first];
        slot->eax = leaf->eax;
        slot->ebx = leaf->ebx;
        slot->ecx = leaf->ecx;
        slot->edx = leaf->edx;
        slot->is_plain = slot->count == 0 && slot->live == CPUID_FIXED;
    }
}

static void add_limits(struct cpuid_policy *policy, const struct cpuid_leaves *host)
{
    struct cpuid_leaves *leaves = &policy->leaves;
    uint32_t host_last = cpuid_find(host, 0, 0)->eax;
    cpuid_listed(leaves, 0, 0)->eax = MIN(MAX(host_last, MAX_BASIC_LEAST), MAX_BASIC_MOST);
    cpuid_listed(leaves, 7, 0)->eax = cpuid_find(host, 7, 0)->eax >= 1 ? 1 : 0;
    cpuid_add(leaves, (struct cpuid_leaf){.leaf = 0x80000000, .eax = MAX_EXTENDED});

    // Four levels of EPT reach 48 bits.
    uint32_t width = cpuid_find(host, 0x80000008, 0)->eax & 0xff;
    policy->physical_width = width == 0 ? 36 : MIN(width, 48U);
    policy->linear_width = cpuid_lists(leaves, CPUID_LA57) ? 57 : 48;
    cpuid_listed(leaves, 0x80000008, 0)->eax = policy->physical_width | policy->linear_width << 8;
}

status_t cpuid_build(struct cpuid_policy *policy, const struct cpuid_leaves *host,
                     const struct cpuid_inputs *inputs)
{
    struct cpuid_leaves *leaves = &policy->leaves;
    memset(policy, 0, sizeof(*policy));
    policy->tsc_hz = inputs->tsc_hz;
    policy->arch_capabilities = inputs->arch_capabilities;

    cpuid_add_ruled(leaves, host, inputs);
    add_limits(policy, host);
    add_topology(leaves, host, inputs->vcpu_count, cpuid_listed(leaves, 0, 0)->eax >= 0x1f);
    add_xsave(policy, host);
    add_frequencies(leaves, inputs);
    add_hypervisor(leaves, inputs);
    if (leaves->count >= CPUID_LEAVES)
        return STATUS_FULL;

    sort(leaves);
    policy->zero = (uint8_t)leaves->count; // behind the last: nothing
    index_leaves(policy);
    if (inputs->exit_stats)
        policy->beyond.live = CPUID_LIVE_BEYOND;
    return STATUS_OK;
}
