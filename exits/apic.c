// What is left to software when the CPU virtualizes the local APIC: accesses that it does not know,
// and what goes with writes and EOIs that it has done. Called through exit_table[]. SDM:
// "APIC-Access VM Exits", "APIC-Write VM Exits", "Virtualized-EOI".

#include "exits/handlers.h"
#include "exits/emulate.h"
#include "vm/vm.h"

#define ACCESS_OFFSET BITS(11, 0)
#define ACCESS_TYPE   BITS(15, 12)

enum access_type { ACCESS_READ = 0, ACCESS_WRITE = 1 }; // all others: no operand

// The exit tells the place, not the operand: the instruction is decoded as for any device.
verdict_t exit_apic_access(struct vcpu *vcpu, const struct exit *exit)
{
    uint64_t type = FIELD_GET(ACCESS_TYPE, exit->qualification);
    if (exit->idt_info & EVENT_VALID)
        return exit_refuse_delivery(vcpu);
    if (type == ACCESS_READ || type == ACCESS_WRITE)
        return exit_emulate(vcpu, exit);
    if (vcpu->cpl == 3) // it cannot end its VM, whatever it did
        return fault_ud();
    return stop(STOP_BAD_MEMORY, (uint32_t)(vcpu->lapic.base >> 12)); // as exits/ept.c
}

// Behind the instruction: its debug trap may still have to come, before an interrupt.
verdict_t exit_tpr_threshold(struct vcpu *vcpu, const struct exit *exit)
{
    if (vcpu_trap_is_unknown(vcpu))
        return need(STATE_DEBUG);
    vcpu_note(vcpu, REQUEST_EVENT);
    return again();
}

verdict_t exit_apic_write(struct vcpu *vcpu, const struct exit *exit)
{
    if (vcpu_trap_is_unknown(vcpu))
        return need(STATE_DEBUG);
    lapic_written(vcpu, (unsigned)(exit->qualification & ACCESS_OFFSET), exit_now(vcpu, exit));
    return again();
}

verdict_t exit_virtualized_eoi(struct vcpu *vcpu, const struct exit *exit)
{
    lapic_ended(vcpu, (uint8_t)exit->qualification);
    return again();
}
