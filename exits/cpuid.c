// CPUID: looks the leaf up in the VM's policy and patches what shows the vCPU's own state. One of
// the hottest exits: a look-up is one array access. Called through exit_table[]. SDM: "CPUID-CPU
// Identification".

#include "exits/handlers.h"
#include "vm/vm.h"

#define EBX_APIC_ID           BITS(31, 24)
#define ECX_OSXSAVE           BIT32(27)
#define EDX_APIC              BIT32(9)
#define ECX_OSPKE             BIT32(4)
#define APIC_BASE_EN          BIT(11)
#define FEATURE_XSAVEC_XSAVES (BIT32(1) | BIT32(3))

static void patch_features(const struct vcpu *vcpu, struct cpuid_leaf *leaf)
{
    leaf->ebx |= (uint32_t)FIELD_MAKE(EBX_APIC_ID, (uint64_t)vcpu->apic_id);
    if (vcpu->cr4_mirror & CR4_OSXSAVE)
        leaf->ecx |= ECX_OSXSAVE;
    if (vcpu->lapic.base & APIC_BASE_EN)
        leaf->edx |= EDX_APIC;
}

static void patch_xsave(const struct vcpu *vcpu, uint32_t subleaf, struct cpuid_leaf *leaf)
{
    if (subleaf == 0)
        leaf->ebx = cpuid_xsave_size(&vcpu->vm->cpuid, vcpu->xcr0);
    else if (subleaf == 1 && (leaf->eax & FEATURE_XSAVEC_XSAVES))
        leaf->ebx = cpuid_xsave_compacted_size(&vcpu->vm->cpuid, vcpu->xcr0);
}

// Exit statistics of this vCPU, as vms.conf lays the leaves out. `reason` is ECX.
static bool answer_stats(const struct vcpu *vcpu, uint32_t number, uint32_t reason,
                         struct cpuid_leaf *leaf)
{
    const struct vm_traits *traits = &vcpu->vm->traits;
    uint32_t index = number - STATS_LEAF_FIRST;
    if (index >= STATS_LEAVES || traits->stats_leaf[index] == 0)
        return false;
    uint8_t shows = traits->stats_leaf[index];
    bool by_reason = shows & STATS_LEAF_BY_REASON;
    struct exit_counter total = {0};
    *leaf = (struct cpuid_leaf){0};
    if (by_reason && !exit_is_defined(reason)) {
        leaf->edx = UINT32_MAX;
        return true;
    }
    reason = (uint32_t)index_below(reason, EXIT_REASONS);
    for (uint32_t i = by_reason ? reason : 0; i <= (by_reason ? reason : EXIT_REASONS - 1); i++)
        stats_add(&total, &vcpu->stats, i);
    if (shows & STATS_LEAF_EXITS)
        leaf->eax = (uint32_t)total.count;
    if (shows & STATS_LEAF_CYCLES) {
        leaf->ebx = (uint32_t)(total.cycles >> 32);
        leaf->ecx = (uint32_t)total.cycles;
    }
    return true;
}

static void patch(const struct vcpu *vcpu, enum cpuid_live live, uint32_t subleaf,
                  struct cpuid_leaf *leaf)
{
    switch (live) {
    case CPUID_FIXED:
        break;
    case CPUID_LIVE_FEATURES:
        patch_features(vcpu, leaf);
        break;
    case CPUID_LIVE_STRUCTURED:
        if (subleaf == 0 && (vcpu->cr4_mirror & CR4_PKE))
            leaf->ecx |= ECX_OSPKE;
        break;
    case CPUID_LIVE_XSAVE:
        patch_xsave(vcpu, subleaf, leaf);
        break;
    case CPUID_LIVE_TOPOLOGY: // every sub-leaf echoes its number and names the CPU
        leaf->ecx = (leaf->ecx & ~UINT32_C(0xff)) | (subleaf & 0xff);
        leaf->edx = vcpu->apic_id;
        break;
    case CPUID_LIVE_BEYOND:
        if (!answer_stats(vcpu, (uint32_t)vcpu->gpr[RAX], subleaf, leaf))
            patch(vcpu, (enum cpuid_live)vcpu->vm->cpuid.beyond_live, subleaf, leaf);
        break;
    }
}

static void answer(struct vcpu *vcpu, uint32_t eax, uint32_t ebx, uint32_t ecx, uint32_t edx)
{
    vcpu->gpr[RAX] = eax;
    vcpu->gpr[RBX] = ebx;
    vcpu->gpr[RCX] = ecx;
    vcpu->gpr[RDX] = edx;
}

_Static_assert((CPUID_SLOTS & (CPUID_SLOTS - 1)) == 0, "an AND keeps an index below it");

static inline const struct cpuid_slot *slot_at(const struct cpuid_policy *policy, uint32_t at)
{
    return &policy->slot[index_and(at, CPUID_SLOTS - 1)];
}

// A leaf with sub-leaves or with something of the vCPU's own. Out of line: the others need no
// stack.
__attribute__((noinline)) static verdict_t find_and_patch(struct vcpu *vcpu)
{
    const struct cpuid_policy *policy = &vcpu->vm->cpuid;
    uint32_t at = cpuid_slot_of((uint32_t)vcpu->gpr[RAX]), subleaf = (uint32_t)vcpu->gpr[RCX];
    const struct cpuid_slot *slot = at < CPUID_SLOTS ? slot_at(policy, at) : &policy->beyond;

    struct cpuid_leaf leaf = policy->leaves.leaf[policy->zero];
    if (slot->count == 0)
        leaf = policy->leaves.leaf[slot->first];
    else if (subleaf < slot->count)
        leaf = policy->leaves.leaf[slot->first + index_below(subleaf, slot->count)];
    patch(vcpu, slot->live, subleaf, &leaf);
    answer(vcpu, leaf.eax, leaf.ebx, leaf.ecx, leaf.edx);
    return next();
}

verdict_t exit_cpuid(struct vcpu *vcpu, const struct exit *exit)
{
    uint32_t at = cpuid_slot_of((uint32_t)vcpu->gpr[RAX]);
    if (at >= CPUID_SLOTS)
        return find_and_patch(vcpu);
    const struct cpuid_slot *slot = slot_at(&vcpu->vm->cpuid, at);
    if (!slot->is_plain)
        return find_and_patch(vcpu);
    answer(vcpu, slot->eax, slot->ebx, slot->ecx, slot->edx);
    return next();
}
