// Exceptions that the exception bitmap intercepts: reflected into the guest as the CPU would have
// delivered them. NMIs and machine checks are the host's own: run.c serves them; but of what a
// machine check found broken of the guest's memory it is told here. Called through exit_table[].
// SDM: "Information for VM Exits Due to Vectored Events", "Exit Qualification for Debug
// Exceptions".

#include "exits/handlers.h"
#include "vm/debugger.h"
#include "vm/vcpu.h"

#define DEBUG_STATUS (BITS(3, 0) | BITS(14, 13)) // of the qualification, as in DR6
#define DEBUG_RTM    BIT(16)                     // inverted in DR6
#define DR6_HIT      BITS(3, 0)
#define DR7_GD       BIT(13)
#define DEBUG_GROUPS (STATE_DEBUG | STATE_DR)
#define VECTOR_LAST  31

// The CPU leaves DR6, DR7.GD and IA32_DEBUGCTL as they were before the exception.
static verdict_t reflect_debug(struct vcpu *vcpu, const struct exit *exit)
{
    if (!event_raise(vcpu, VECTOR_DB, false, 0))
        return stop(STOP_TRIPLE_FAULT, 0);
    vcpu->dr6 = (vcpu->dr6 & ~DR6_HIT) | (exit->qualification & DEBUG_STATUS) | DEBUG_RTM;
    if (exit->qualification & DEBUG_RTM)
        vcpu->dr6 &= ~DEBUG_RTM;
    *debugged_dr(vcpu, 7) &= ~DR7_GD;
    vcpu->debugctl &= ~DEBUGCTL_BTF;
    // Some emulators leave it set; delivery takes what was pending.
    vcpu->pending_debug = 0;
    vcpu->dirty |= DEBUG_GROUPS;
    vcpu_note(vcpu, REQUEST_EVENT);
    return again();
}

// INT1, INT3 and INTO: delivered again as what they are, so that RIP behind the instruction is
// pushed. The exit has ended them: what a MOV SS before INT1 held back is gone, and an entry with
// its shadow would be refused.
static verdict_t reflect_software(struct vcpu *vcpu, const struct exit *exit)
{
    vcpu->events.pending = (struct event){
        .info = exit->interruption_info & (EVENT_VALID | EVENT_TYPE | EVENT_VECTOR),
        .length = exit->instruction_length,
    };
    vcpu_end_shadow(vcpu);
    vcpu_note(vcpu, REQUEST_EVENT);
    return again();
}

static verdict_t deliver_error(struct vcpu *vcpu)
{
    const struct mce_error error = vcpu->error;
    if (!error.status)
        return again();
    if (STATE_CONTROL & ~vcpu->fetched)
        return need(STATE_CONTROL);
    vcpu->error.status = 0;
    if (!mce_raise(vcpu, &error))
        return stop(STOP_MACHINE_CHECK, 0);
    vcpu_note(vcpu, REQUEST_EVENT);
    return again();
}

// Whether it is its debugger's, which it stopped for. A trap that comes with it is the guest's.
static bool is_debuggers(struct vcpu *vcpu, const struct exit *exit, enum exception vector)
{
    if (vector == VECTOR_BP)
        return debugged_int3(vcpu);
    if (vector != VECTOR_DB || !debugged_db(vcpu, exit->qualification))
        return false;
    vcpu->pending_debug = exit->qualification & PENDING_DEBUG_BS;
    vcpu->dirty |= STATE_DEBUG;
    return true;
}

// A debugger's step is over. SDM: "Monitor Trap Flag".
verdict_t exit_monitor_trap(struct vcpu *vcpu, const struct exit *exit)
{
    if (vcpu->debugged && (DEBUGGED_GROUPS & ~vcpu->fetched))
        return need(DEBUGGED_GROUPS);
    if (vcpu->debugged)
        debugged_trap(vcpu);
    vcpu_note(vcpu, REQUEST_EVENT);
    return again();
}

verdict_t exit_exception(struct vcpu *vcpu, const struct exit *exit)
{
    uint32_t info = exit->interruption_info;
    enum exception vector = (enum exception)(info & EVENT_VECTOR);
    enum event_type type = (enum event_type)FIELD_GET(EVENT_TYPE, info);

    if (!(info & EVENT_VALID) || type == EVENT_NMI)
        return again();
    if (vector == VECTOR_DB && (DEBUG_GROUPS & ~vcpu->fetched))
        return need(DEBUG_GROUPS);
    if (vcpu->debugged && (DEBUGGED_GROUPS & ~vcpu->fetched))
        return need(DEBUGGED_GROUPS);
    // The exception hit an IRET that had ended the blocking of NMIs already.
    if ((info & EVENT_UNBLOCKING) && vector != VECTOR_DF && !(exit->idt_info & EVENT_VALID)) {
        vcpu->interruptibility |= BLOCKING_BY_NMI;
        vcpu->dirty |= STATE_FLOW;
    }
    if (vcpu->debugged && is_debuggers(vcpu, exit, vector))
        return again();
    if (type == EVENT_SOFTWARE_EXCEPTION || type == EVENT_PRIVILEGED_EXCEPTION)
        return reflect_software(vcpu, exit);
    if (type != EVENT_EXCEPTION || vector > VECTOR_LAST)
        return stop(STOP_UNKNOWN_EXIT, exit->reason);
    if (vector == VECTOR_MC)
        return deliver_error(vcpu);
    if (vector == VECTOR_DB)
        return reflect_debug(vcpu, exit);
    if (vector == VECTOR_PF)
        return fault_pf(vcpu, exit->qualification, exit->interruption_error);
    return info & EVENT_HAS_ERROR ? fault_code(vector, exit->interruption_error) : fault(vector);
}
