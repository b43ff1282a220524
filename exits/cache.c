// INVD, WBINVD, INVLPG and INVPCID. Guests have no memory that is not coherent, so their caches
// need no flush; INVD must never reach the real ones. INVLPG and INVPCID exit only when they are
// made to. Called through exit_table[]. SDM: "INVD", "WBINVD", "INVLPG", "INVPCID-Invalidate
// Process-Context Identifier".

#include "exits/handlers.h"
#include "exits/operand.h"
#include "vm/vm.h"

enum invpcid_type { INVPCID_ADDRESS, INVPCID_CONTEXT, INVPCID_ALL_GLOBAL, INVPCID_ALL };

#define DESCRIPTOR_PCID UINT64_C(0xfff)

verdict_t exit_cache(struct vcpu *vcpu, const struct exit *exit)
{
    return next();
}

// The whole VPID, because INVLPG ends the caching of paging structures for every address, which an
// individual-address INVVPID need not do. More than asked for is always allowed.
verdict_t exit_invlpg(struct vcpu *vcpu, const struct exit *exit)
{
    vcpu_note(vcpu, REQUEST_FLUSH_TLB);
    return next();
}

static bool is_valid(const struct vcpu *vcpu, uint64_t type, const uint64_t descriptor[2])
{
    if (type > INVPCID_ALL || (descriptor[0] & ~DESCRIPTOR_PCID))
        return false;
    if (type >= INVPCID_ALL_GLOBAL)
        return true;
    if (descriptor[0] && !(vcpu->cr4 & CR4_PCIDE))
        return false;
    return type != INVPCID_ADDRESS || is_canonical(descriptor[1], vcpu->vm->cpuid.linear_width);
}

verdict_t exit_invpcid(struct vcpu *vcpu, const struct exit *exit)
{
    uint32_t missing = linear_missing(vcpu);
    if (missing)
        return need(missing);
    if (!cpuid_has(&vcpu->vm->cpuid, CPUID_INVPCID))
        return fault_ud();
    if (vcpu->cpl > 0)
        return fault_gp(0);

    uint64_t descriptor[2];
    gva_t linear;
    verdict_t fault;
    if (!operand_load(vcpu, exit, descriptor, sizeof(descriptor), &linear, &fault))
        return fault;
    uint64_t type = vcpu->gpr[FIELD_GET(OPERAND_REGISTER_2, (uint64_t)exit->instruction_info)];
    if (!vcpu_in_64bit(vcpu))
        type = (uint32_t)type;
    if (!is_valid(vcpu, type, descriptor))
        return fault_gp(0);
    vcpu_note(vcpu, REQUEST_FLUSH_TLB);
    return next();
}
