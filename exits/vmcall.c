// VMCALL: hypercalls by KVM's calling convention: number in RAX, arguments in RBX, RCX, RDX, RSI,
// result in RAX. Called through exit_table[]; legal at any privilege level and in any mode. SDM:
// "VMCALL-Call to VM Monitor".

#include "exits/handlers.h"
#include "vm/vm.h"

#define HYPERCALL_SEND_IPI 10

// Results. Errors are Linux's numbers, negative.
#define HYPERCALL_UNKNOWN (-1000)
#define HYPERCALL_DENIED  (-1)
#define HYPERCALL_INVALID (-22)

#define ICR_VECTOR UINT64_C(0xff)
#define ICR_MODE   UINT64_C(0x700)

// One interrupt to many vCPUs: RBX and RCX are a bitmap of APIC IDs that begins at RDX, RSI is an
// ICR without destination. The result is the number of APICs that took it.
static int64_t send_ipi(struct vcpu *vcpu)
{
    uint64_t icr = vcpu->gpr[RSI];
    struct lapic_message message = {
        .vector = (uint8_t)(icr & ICR_VECTOR),
        .mode = (uint8_t)FIELD_GET(ICR_MODE, icr),
        .wide = true,
    };
    if ((icr & ~(ICR_VECTOR | ICR_MODE)) ||
        (message.mode != DELIVERY_FIXED && message.mode != DELIVERY_NMI))
        return HYPERCALL_INVALID;

    unsigned width = vcpu_in_64bit(vcpu) ? 64 : 32;
    int64_t sent = 0;
    for (unsigned word = 0; word < 2; word++) {
        uint64_t bitmap = vcpu->gpr[word == 0 ? RBX : RCX] & size_mask(width / 8);
        for (; bitmap; bitmap &= bitmap - 1) {
            message.destination = (uint32_t)vcpu->gpr[RDX] + word * width + lowest_bit(bitmap);
            sent += message.destination != UINT32_MAX && lapic_deliver(vcpu->vm, vcpu, &message);
        }
    }
    return sent;
}

// Out of line: an unknown number needs no stack.
__attribute__((noinline)) static verdict_t known(struct vcpu *vcpu)
{
    uint32_t groups = STATE_CONTROL | STATE_SEGMENTS;
    if (groups & ~vcpu->fetched)
        return need(groups);
    int64_t result = vcpu->cpl > 0 ? HYPERCALL_DENIED : send_ipi(vcpu);
    vcpu->gpr[RAX] = (uint64_t)result;
    return next();
}

verdict_t exit_vmcall(struct vcpu *vcpu, const struct exit *exit)
{
    (void)exit;
    if ((uint32_t)vcpu->gpr[RAX] == HYPERCALL_SEND_IPI)
        return known(vcpu);
    vcpu->gpr[RAX] = (uint64_t)HYPERCALL_UNKNOWN;
    return next();
}
