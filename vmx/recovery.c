// What a machine check in a guest means for its VM. See recovery.h; called by run.c. Guests' own
// banks stay empty: nobody inside is told.

#include "vmx/recovery.h"

#include "arch/x86_64/machine_check.h"
#include "arch/x86_64/panic.h"
#include "mm/frames.h"

bool recovery_ends_vm(struct vcpu *vcpu)
{
    uint64_t frame = 0;
    enum mca_action action = machine_check_serve(true, &frame);
    if (action == MCA_GO_ON)
        return false;
    // What the CPU used for the guest may be ours: its page tables, its VMCS.
    if (action != MCA_END_GUEST || !gmem_holds(&vcpu->vm->memory, (const void *)frame) ||
        !frames_retire(hpa(frame)))
        panic_machine_check("while a guest ran");
    return true;
}
