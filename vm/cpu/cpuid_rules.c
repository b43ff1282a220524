// The CPUID policy's table: for each register, which host bits guests see and which are set
// whatever the host has; what no table lists reads as zero. Then the features (vm/cpu/feature.h),
// by what the host and the machine half have and what vms.conf says. SDM: "CPUID-CPU
// Identification".

#include "vm/cpu/cpuid_rules.h"

#define ALL UINT32_MAX

struct rule {
    uint32_t leaf;
    uint32_t subleaf;
    struct {
        uint32_t pass;
        uint32_t set;
    } eax, ebx, ecx, edx;
};

#define B(n) BIT32(n)
// clang-format off
#define WHOLE(leaf) {leaf, 0, {ALL, 0}, {ALL, 0}, {ALL, 0}, {ALL, 0}}
// clang-format on

static const struct rule rules[] = {
    {.leaf = 0x0, .ebx = {.pass = ALL}, .ecx = {.pass = ALL}, .edx = {.pass = ALL}},
    {.leaf = 0x1,
     .eax = {.pass = ALL},
     .ebx = {.pass = 0x0000ff00}, // CLFLUSH line size
     // FPU MSR CX8 CMOV MMX SS
     .edx = {.pass = B(0) | B(5) | B(8) | B(15) | B(23) | B(27)}},
    WHOLE(0x2),
    {.leaf = 0x6, .eax = {.set = B(2)}}, // ARAT: the virtual timer never stops
    // FDP FCS; PREFETCHWT1
    {.leaf = 0x7, .ebx = {.pass = B(6) | B(13)}, .ecx = {.pass = B(0)}},
    // fast zero-length MOVSB, short STOSB, short CMPSB
    {.leaf = 0x7, .subleaf = 1, .eax = {.pass = B(10) | B(11) | B(12)}},
    {.leaf = 0xd, .subleaf = 1}, // the sizes are computed
    // KVM's: the clock at its old and its new MSRs, no delay after port I/O, and a TSC on which all
    // vCPUs agree
    {.leaf = 0x40000001, .eax = {.set = B(0) | B(1) | B(3) | B(24)}},
    {.leaf = 0x80000001},
    WHOLE(0x80000002), // the name, in three leaves
    WHOLE(0x80000003),
    WHOLE(0x80000004),
    {.leaf = 0x80000006, .ecx = {.pass = ALL}}, // L2 cache
    {.leaf = 0x80000007},
    {.leaf = 0x80000008, .ebx = {.pass = B(9)}}, // WBNOINVD; the widths are computed
};

static void add_by_rules(struct cpuid_leaves *leaves, const struct cpuid_leaves *host)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(rules); i++) {
        const struct rule *rule = &rules[i];
        const struct cpuid_leaf *from = cpuid_find(host, rule->leaf, rule->subleaf);
        cpuid_add(leaves, (struct cpuid_leaf){
                              .leaf = rule->leaf,
                              .subleaf = rule->subleaf,
                              .eax = (from->eax & rule->eax.pass) | rule->eax.set,
                              .ebx = (from->ebx & rule->ebx.pass) | rule->ebx.set,
                              .ecx = (from->ecx & rule->ecx.pass) | rule->ecx.set,
                              .edx = (from->edx & rule->edx.pass) | rule->edx.set,
                          });
    }
}

static uint32_t *register_of(struct cpuid_leaf *leaf, uint32_t feature)
{
    uint32_t *const registers[] = {&leaf->eax, &leaf->ebx, &leaf->ecx, &leaf->edx};
    return registers[CPUID_BIT_IN(feature)];
}

bool cpuid_lists(const struct cpuid_leaves *leaves, uint32_t feature)
{
    struct cpuid_leaf leaf =
        *cpuid_find(leaves, CPUID_BIT_LEAF(feature), CPUID_BIT_SUBLEAF(feature));
    return *register_of(&leaf, feature) & BIT32(CPUID_BIT_BIT(feature));
}

static void flip(struct cpuid_leaves *leaves, uint32_t feature)
{
    struct cpuid_leaf *leaf =
        cpuid_listed(leaves, CPUID_BIT_LEAF(feature), CPUID_BIT_SUBLEAF(feature));
    *register_of(leaf, feature) ^= BIT32(CPUID_BIT_BIT(feature));
}

// What vms.conf says: a feature can always be taken away, and given only where its rule would.
static bool is_given(const struct cpu_feature *feature, bool in_host,
                     const struct cpuid_inputs *inputs)
{
    bool allowed = feature->rule == CPUID_OURS || (feature->rule == CPUID_PASSED && in_host);
    bool given = !feature->is_wrong_emulated || !(inputs->flags & CPUID_HOST_EMULATED);
    uint32_t flags = inputs->flags | (inputs->vcpu_count > 1 ? CPUID_SEVERAL_VCPUS : 0U);
    for (unsigned i = 0; i < inputs->feature_count; i++)
        if (feature == &cpu_features[inputs->feature[i].index])
            given = inputs->feature[i].enable;
    return allowed && given && !(feature->flags & ~flags);
}

static bool lacks(const struct cpuid_leaves *leaves, uint32_t feature)
{
    return feature && !cpuid_lists(leaves, feature);
}

static void hide_dependents(struct cpuid_leaves *leaves)
{
    for (bool found = true; found;) {
        found = false;
        for (unsigned i = 0; i < cpu_feature_count; i++) {
            const struct cpu_feature *at = &cpu_features[i];
            if (cpuid_lists(leaves, at->bit) &&
                (lacks(leaves, at->needs[0]) || lacks(leaves, at->needs[1]))) {
                flip(leaves, at->bit);
                found = true;
            }
        }
    }
}

const char *cpuid_unmet(const struct cpuid_policy *policy, uint32_t feature, bool enable)
{
    if (enable && !cpuid_has(policy, feature))
        return "guests cannot have it on this machine; take it out";
    if (!enable && feature == CPUID_RDPID && cpuid_has(policy, CPUID_RDTSCP))
        return "where the CPU has RDPID it executes as long as RDTSCP does; hide -rdtscp for both";
    return NULL;
}

void cpuid_add_ruled(struct cpuid_leaves *leaves, const struct cpuid_leaves *host,
                     const struct cpuid_inputs *inputs)
{
    add_by_rules(leaves, host);
    for (unsigned i = 0; i < cpu_feature_count; i++)
        if (is_given(&cpu_features[i], cpuid_lists(host, cpu_features[i].bit), inputs))
            flip(leaves, cpu_features[i].bit);
    hide_dependents(leaves);
}
