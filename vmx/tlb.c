// INVVPID and INVEPT. See tlb.h. One that fails leaves translations behind that must not be used.

#include "vmx/tlb.h"

#include "lib/panic.h"
#include "vmx/instructions.h"

static void flush_vpid(enum invvpid_type type, uint16_t vpid)
{
    if (!invvpid(type, vpid, 0))
        panic("INVVPID of type %d, VPID %u failed", (int)type, vpid);
}

static void flush_ept(enum invept_type type, uint64_t eptp)
{
    if (!invept(type, eptp))
        panic("INVEPT of type %d, EPTP %#lx failed", (int)type, eptp);
}

void tlb_flush_vpid(const struct vmx_vcpu *vcpu)
{
    if (vmx_uses(FEATURE_INVVPID_SINGLE))
        flush_vpid(INVVPID_SINGLE, vcpu->vpid);
    else if (vmx_uses(FEATURE_VPID))
        flush_vpid(INVVPID_ALL, 0);
}

void tlb_flush_ept(struct vmx_vcpu *vcpu)
{
    uint64_t generation = vcpu->vm->ept.generation; // what changes from here on asks again
    if (vmx_uses(FEATURE_INVEPT_SINGLE))
        flush_ept(INVEPT_SINGLE, vcpu->vm->eptp);
    else
        flush_ept(INVEPT_ALL, 0);
    vcpu->ept_generation = generation;
}

void tlb_flush_all(void)
{
    flush_ept(INVEPT_ALL, 0);
    if (vmx_uses(FEATURE_VPID))
        flush_vpid(INVVPID_ALL, 0);
}
