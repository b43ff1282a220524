// Ownership and allowed bits of the control registers, from the guest's CPUID. See vm/cpu/cr.h.

#include "vm/cpu/cr.h"

#define PDPTE_PRESENT  BIT(0)
#define PDPTE_RESERVED (BITS(2, 1) | BITS(8, 5))

// A bit of CR4 and the feature that brings it.
static const struct {
    uint64_t cr4;
    uint32_t feature; // CPUID_BIT
} cr4_feature[] = {
    {CR4_VME | CR4_PVI, CPUID_VME}, {CR4_TSD, CPUID_TSC},       {CR4_DE, CPUID_DE},
    {CR4_PSE, CPUID_PSE},           {CR4_PAE, CPUID_PAE},       {CR4_MCE, CPUID_MCE},
    {CR4_PGE, CPUID_PGE},           {CR4_OSFXSR, CPUID_FXSR},   {CR4_OSXMMEXCPT, CPUID_SSE},
    {CR4_UMIP, CPUID_UMIP},         {CR4_LA57, CPUID_LA57},     {CR4_FSGSBASE, CPUID_FSGSBASE},
    {CR4_PCIDE, CPUID_PCID},        {CR4_OSXSAVE, CPUID_XSAVE}, {CR4_SMEP, CPUID_SMEP},
    {CR4_SMAP, CPUID_SMAP},         {CR4_PKE, CPUID_PKU},
};

uint64_t cr4_guest_allowed(const struct vm *vm)
{
    uint64_t allowed = CR4_PCE;
    for (unsigned i = 0; i < ARRAY_LENGTH(cr4_feature); i++)
        if (cpuid_has(&vm->cpuid, cr4_feature[i].feature))
            allowed |= cr4_feature[i].cr4;
    return allowed;
}

// OSXSAVE and PKE are mirrored by CPUID; MCE stays set so that a machine check exits rather than
// shuts the CPU down.
uint64_t cr4_owned(const struct vm *vm)
{
    return ~cr4_guest_allowed(vm) | CR4_OSXSAVE | CR4_PKE | CR4_MCE;
}

uint64_t cr3_reserved(const struct vm *vm)
{
    return ~(BIT(vm->cpuid.physical_width) - 1);
}

bool cr_read_pdptes(const struct vm *vm, uint64_t cr3, uint64_t pdpte[4])
{
    if (!gmem_read(&vm->memory, gpa(cr3 & BITS(31, 5)), pdpte, 4 * sizeof(pdpte[0])))
        return false;
    uint64_t reserved = PDPTE_RESERVED | cr3_reserved(vm);
    for (unsigned i = 0; i < 4; i++)
        if ((pdpte[i] & PDPTE_PRESENT) && (pdpte[i] & reserved))
            return false;
    return true;
}
