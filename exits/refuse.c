// Exits with a fixed answer: instructions that no guest gets, exits that are over once they
// happened, and those that end the VM. Called through exit_table[]. SDM: "Instructions That Cause
// VM Exits", "Other Causes of VM Exits".

#include "exits/handlers.h"
#include "vm/vcpu.h"

verdict_t exit_undefined(struct vcpu *vcpu, const struct exit *exit)
{
    return fault_ud();
}

verdict_t exit_resume(struct vcpu *vcpu, const struct exit *exit)
{
    vcpu_note(vcpu, REQUEST_EVENT);
    return again();
}

verdict_t exit_triple_fault(struct vcpu *vcpu, const struct exit *exit)
{
    return stop(STOP_TRIPLE_FAULT, 0);
}

verdict_t exit_entry_failed(struct vcpu *vcpu, const struct exit *exit)
{
    return stop(STOP_ENTRY_FAILED, (uint32_t)exit->qualification);
}

verdict_t exit_unknown(struct vcpu *vcpu, const struct exit *exit)
{
    return stop(STOP_UNKNOWN_EXIT, exit->reason);
}

// Qualification bit 0: the guest's context in the VMCS is not valid.
verdict_t exit_notify(struct vcpu *vcpu, const struct exit *exit)
{
    return exit->qualification & BIT(0) ? stop(STOP_UNKNOWN_EXIT, exit->reason) : again();
}
