// MMIO of a guest: the local APIC page of the vCPU that accesses it comes first, then the VM's bus.
// Called for EPT violations outside RAM, after the instruction was decoded.
#include "vm/vm.h"

void vm_mmio_access(struct vcpu *vcpu, struct access *access)
{
    struct vm *vm = vcpu->vm;
    if (lapic_mmio_claims(vcpu, access->offset)) {
        lapic_mmio_access(vcpu, access);
        return;
    }
    if (bus_access(&vm->mmio, access))
        return;
    atomic_fetch_add_explicit(&vm->unclaimed_mmio, 1, memory_order_relaxed);
    tally_count(&vm->mmio_tally, access->offset);
}
