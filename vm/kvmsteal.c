// The record of KVM's steal time. Called from the MSR table and by the CPU's loop. See
// vm/kvmsteal.h.

#include "vm/kvmsteal.h"

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

static struct steal_page *page_of(const struct vcpu *vcpu, uint64_t value)
{
    if (!(value & STEAL_ENABLE))
        return NULL;
    return gmem_at(&vcpu->vm->memory, gpa(value & ~(STEAL_ENABLE | STEAL_RESERVED)),
                   sizeof(struct steal_page));
}

void kvmsteal_runs(struct vcpu *vcpu)
{
    struct steal_page *page = page_of(vcpu, vcpu->msr.kvm_steal);
    if (!page)
        return;
    if (__atomic_exchange_n(&page->preempted, 0, __ATOMIC_SEQ_CST) & FLUSH_TLB)
        vcpu_note(vcpu, REQUEST_FLUSH_TLB);
    uint64_t steal = vcpu->stolen - vcpu->stolen_before;
    gmem_publish(&page->version, &page->steal, &steal, sizeof(steal));
}

void kvmsteal_leaves(struct vcpu *vcpu)
{
    struct steal_page *page = page_of(vcpu, vcpu->msr.kvm_steal);
    if (page)
        __atomic_fetch_or(&page->preempted, PREEMPTED, __ATOMIC_SEQ_CST);
}

bool kvmsteal_set(struct vcpu *vcpu, uint32_t index, uint64_t value, uint64_t now)
{
    if ((value & STEAL_RESERVED) || ((value & STEAL_ENABLE) && !page_of(vcpu, value)))
        return false;
    vcpu->msr.kvm_steal = value;
    vcpu->stolen_before = vcpu->stolen;
    kvmsteal_runs(vcpu);
    return true;
}
