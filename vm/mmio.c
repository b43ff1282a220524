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
    access_counts_add(&vm->unclaimed_mmio, access->offset);
}
