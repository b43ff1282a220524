// The record of KVM's steal time. Called from the MSR table and by the CPU's loop. See
// vm/kvmsteal.h.

#include "vm/kvmsteal.h"

#include "lib/panic.h"
#include "vm/vm.h"

#define STEAL_ENABLE   BIT(0)
#define STEAL_RESERVED BITS(5, 1)

#define PREEMPTED 1 // the vCPU does not run
#define FLUSH_TLB 2 // another vCPU asks for a flush before it does

struct steal_page {
    uint64_t steal;   // nanoseconds
    uint32_t version; // odd while the record changes
    uint32_t flags;
    uint8_t preempted;
    uint8_t padding[47];
};
_Static_assert(sizeof(struct steal_page) == 64, "guests see this");
_Static_assert(offsetof(struct steal_page, preempted) == 16, "guests see this");

static gpa_t place_in(uint64_t value, size_t offset)
{
    return gpa((value & ~(STEAL_ENABLE | STEAL_RESERVED)) + offset);
}

static bool is_in_ram(const struct vcpu *vcpu, uint64_t value)
{
    return gmem_is_ram(&vcpu->vm->memory, place_in(value, 0), sizeof(struct steal_page));
}

void kvmsteal_runs(struct vcpu *vcpu)
{
    const struct gmem *memory = &vcpu->vm->memory;
    uint64_t value = vcpu->msr.kvm_steal;
    gpa_t preempted = place_in(value, offsetof(struct steal_page, preempted));
    if (!(value & STEAL_ENABLE))
        return;
    if (gmem_clear_bits(memory, preempted, UINT8_MAX) & FLUSH_TLB)
        vcpu_note(vcpu, REQUEST_FLUSH_TLB);
    // Where the page went back and does not come again, the VM is paused soon: it is told later.
    (void)!gmem_publish(memory, place_in(value, offsetof(struct steal_page, version)),
                        place_in(value, 0), &vcpu->stolen, sizeof(vcpu->stolen));
}

void kvmsteal_leaves(struct vcpu *vcpu)
{
    uint64_t value = vcpu->msr.kvm_steal;
    if (value & STEAL_ENABLE)
        gmem_set_bits(&vcpu->vm->memory, place_in(value, offsetof(struct steal_page, preempted)),
                      PREEMPTED);
}

static bool is_good(const struct vcpu *vcpu, uint64_t value)
{
    return !(value & STEAL_RESERVED) && (!(value & STEAL_ENABLE) || is_in_ram(vcpu, value));
}

void kvmsteal_loaded(struct vcpu *vcpu)
{
    if (!is_good(vcpu, vcpu->msr.kvm_steal))
        vcpu->msr.kvm_steal = 0;
}

bool kvmsteal_set(struct vcpu *vcpu, uint32_t index, uint64_t value, uint64_t now)
{
    if (!is_good(vcpu, value))
        return false;
    vcpu->msr.kvm_steal = value;
    vcpu->stolen = 0;
    kvmsteal_runs(vcpu);
    return true;
}
