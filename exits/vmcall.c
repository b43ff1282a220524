// VMCALL: hypercalls by KVM's calling convention: number in RAX, arguments in RBX, RCX, RDX, RSI,
// result in RAX. Called through exit_table[]; legal at any privilege level and in any mode. SDM:
// "VMCALL-Call to VM Monitor".

#include "exits/handlers.h"
#include "vm/vcpu.h"

// Results. They are Linux's error numbers, negative.
#define HYPERCALL_NOT_KNOWN (-1000)
#define HYPERCALL_DENIED    (-1)

verdict_t exit_vmcall(struct vcpu *vcpu, const struct exit *exit)
{
    (void)exit;
    int64_t result = vcpu->cpl > 0 ? HYPERCALL_DENIED : HYPERCALL_NOT_KNOWN;
    vcpu->gpr[RAX] = (uint64_t)result;
    return next();
}
