// What a machine check in a guest means for its VM. See recovery.h; called by run.c. The guest is
// told by exits/exception.c.

#include "vmx/recovery.h"

#include "arch/x86_64/machine_check.h"
#include "arch/x86_64/panic.h"
#include "mm/frames.h"
#include "mm/paging.h"

bool recovery_serve(struct vcpu *vcpu)
{
    struct mca_bank bank;
    uint64_t frame;
    gpa_t page;
    enum mca_action action = machine_check_serve(true, &bank);
    if (action == MCA_GO_ON)
        return false;
    // What the CPU used for the guest may be ours: its page tables, its VMCS.
    if (action != MCA_TELL_GUEST || !mca_frame(&bank, &frame) ||
        !gmem_find(&vcpu->vm->memory, paging_window(hpa(frame)), &page) ||
        !frames_retire(hpa(frame)))
        panic_machine_check("while a guest ran");
    vcpu->error = (struct mce_error){bank.status, bank.global, page};
    return true;
}
