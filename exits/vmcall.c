// VMCALL: hypercalls by KVM's calling convention: number in RAX, arguments in RBX, RCX, RDX, RSI,
// result in RAX. Called through exit_table[]; legal at any privilege level and in any mode. SDM:
// "VMCALL-Call to VM Monitor".

#include "exits/handlers.h"
#include "vm/vm.h"

#define HYPERCALL_KICK     5
#define HYPERCALL_SEND_IPI 10
#define HYPERCALL_YIELD    11

// Results. Errors are Linux's numbers, negative.
#define HYPERCALL_UNKNOWN (-1000)
#define HYPERCALL_DENIED  (-1)
#define HYPERCALL_INVALID (-22)

#define ICR_VECTOR UINT64_C(0xff)
#define ICR_MODE   UINT64_C(0x700)

#define APIC_ID_BROADCAST UINT32_MAX // the last; no sum wraps to the first ones

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
            uint64_t id = (uint64_t)(uint32_t)vcpu->gpr[RDX] + word * width + lowest_bit(bitmap);
            message.destination = (uint32_t)id;
            sent += id < APIC_ID_BROADCAST && lapic_deliver(vcpu->vm, vcpu, &message);
        }
    }
    return sent;
}

static struct vcpu *find(const struct vm *vm, uint32_t apic_id)
{
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        if (vm->vcpu[i]->apic_id == apic_id)
            return vm->vcpu[i];
    return NULL;
}

// The vCPU whose APIC ID is in RCX waits in HLT for a lock, interrupts off perhaps, and need not
// any longer.
static int64_t kick(struct vcpu *vcpu)
{
    struct vcpu *target = find(vcpu->vm, (uint32_t)vcpu->gpr[RCX]);
    if (target)
        vcpu_request(target, REQUEST_UNHALT);
    return 0;
}

// RBX is the APIC ID of a vCPU that the caller will wait for.
static verdict_t yield_by_id(const struct vcpu *vcpu)
{
    const struct vcpu *target = find(vcpu->vm, (uint32_t)vcpu->gpr[RBX]);
    return target && target != vcpu ? yield_to(target->id) : next();
}

// The feature that announces a hypercall; 0: there is no such call.
static uint32_t feature_of(uint32_t number)
{
    switch (number) {
    case HYPERCALL_KICK:
        return CPUID_KVM_PV_UNHALT;
    case HYPERCALL_SEND_IPI:
        return CPUID_KVM_SEND_IPI;
    case HYPERCALL_YIELD:
        return CPUID_KVM_SCHED_YIELD;
    default:
        return 0;
    }
}

static verdict_t serve(struct vcpu *vcpu, uint32_t number)
{
    verdict_t verdict = next();
    int64_t result = 0;
    if (number == HYPERCALL_SEND_IPI)
        result = send_ipi(vcpu);
    else if (number == HYPERCALL_KICK)
        result = kick(vcpu);
    else
        verdict = yield_by_id(vcpu);
    vcpu->gpr[RAX] = (uint64_t)result;
    return verdict;
}

// Out of line: an unknown number needs no stack.
__attribute__((noinline)) static verdict_t known(struct vcpu *vcpu, uint32_t number,
                                                 uint32_t feature)
{
    uint32_t groups = STATE_MODE | (number == HYPERCALL_SEND_IPI ? STATE_CONTROL : 0U);
    int64_t error = HYPERCALL_UNKNOWN;
    if (cpuid_has(&vcpu->vm->cpuid, feature)) {
        if (groups & ~vcpu->fetched)
            return need(groups);
        if (vcpu->cpl == 0)
            return serve(vcpu, number);
        error = HYPERCALL_DENIED;
    }
    vcpu->gpr[RAX] = (uint64_t)error;
    return next();
}

verdict_t exit_vmcall(struct vcpu *vcpu, const struct exit *exit)
{
    uint32_t number = (uint32_t)vcpu->gpr[RAX], feature = feature_of(number);
    if (feature)
        return known(vcpu, number, feature);
    vcpu->gpr[RAX] = (uint64_t)HYPERCALL_UNKNOWN;
    return next();
}
