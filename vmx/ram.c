// Guest RAM, taken out of the nested page tables and put back. See vmx/ram.h; called by the test
// device and for EPT violations. SDM: "Guidelines for Use of the INVEPT Instruction".

#include "vmx/ram.h"

#include "mm/paging.h"
#include "vmx/machine.h"

static gpa_t page_of(gpa_t at)
{
    return gpa(at.value & ~(PAGE_SIZE - 1));
}

void ram_changed(struct vm *vm)
{
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        vcpu_request(vm->vcpu[i], REQUEST_FLUSH_EPT);
}

void ram_drop(struct vm *vm, gpa_t at)
{
    struct vmx_vm *machine = vm->machine;
    spin_lock(&machine->ept_lock);
    bool is_out = ept_unmap(&machine->ept, page_of(at), PAGE_SIZE) == STATUS_OK;
    spin_unlock(&machine->ept_lock);
    if (is_out)
        ram_changed(vm);
}

// Another vCPU may have put it back meanwhile: then it is mapped as it is.
bool ram_fault(struct vcpu *vcpu, gpa_t at, uint64_t qualification)
{
    struct vmx_vm *machine = vcpu->vm->machine;
    const void *bytes = gmem_at(&vcpu->vm->memory, page_of(at), PAGE_SIZE);
    if (!bytes)
        return false;
    spin_lock(&machine->ept_lock);
    status_t status =
        ept_map(&machine->ept, page_of(at), paging_window_hpa(bytes), PAGE_SIZE, EPT_RAM);
    spin_unlock(&machine->ept_lock);
    return status == STATUS_OK;
}
