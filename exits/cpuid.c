// CPUID: looks the leaf up in the VM's policy and patches what shows the vCPU's own state. One of
// the hottest exits: a look-up is two array accesses. Called through exit_table[]. SDM: "CPUID-CPU
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
    }
}

static verdict_t answer(struct vcpu *vcpu, const struct cpuid_leaf *leaf)
{
    vcpu->gpr[RAX] = leaf->eax;
    vcpu->gpr[RBX] = leaf->ebx;
    vcpu->gpr[RCX] = leaf->ecx;
    vcpu->gpr[RDX] = leaf->edx;
    return next();
}

// Apart from the rest, which then needs no stack.
__attribute__((noinline)) static verdict_t answer_live(struct vcpu *vcpu,
                                                       const struct cpuid_leaf *leaf,
                                                       enum cpuid_live live, uint32_t subleaf)
{
    struct cpuid_leaf patched = *leaf;
    patch(vcpu, live, subleaf, &patched);
    return answer(vcpu, &patched);
}

verdict_t exit_cpuid(struct vcpu *vcpu, const struct exit *exit)
{
    (void)exit;
    const struct cpuid_policy *policy = &vcpu->vm->cpuid;
    uint32_t number = (uint32_t)vcpu->gpr[RAX], subleaf = (uint32_t)vcpu->gpr[RCX];
    uint32_t range = number >> 30, index = number & 0x3fffffff;

    const struct cpuid_slot *slot =
        range < CPUID_RANGES && index < CPUID_SLOTS ? &policy->slot[range][index] : &policy->beyond;
    const struct cpuid_leaf *leaf = &policy->leaves.leaf[slot->first];
    if (slot->count)
        leaf = subleaf < slot->count ? leaf + subleaf : &policy->leaves.leaf[policy->zero];
    return slot->live ? answer_live(vcpu, leaf, slot->live, subleaf) : answer(vcpu, leaf);
}
