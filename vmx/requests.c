// Serving requests: the slow part of the loop, entered only when somebody set a bit.

#include "vmx/requests.h"

#include "arch/x86_64/registers.h"
#include "exits/io.h"
#include "vm/cpu/debug.h"
#include "vm/debugger.h"
#include "vm/kvmclock.h"
#include "vmx/apicv.h"
#include "vmx/instructions.h"
#include "vmx/ram.h"
#include "vmx/setup.h"
#include "vmx/state.h"
#include "vmx/timer.h"
#include "vmx/tlb.h"

void requests_set_primary(struct vmx_vcpu *v, uint32_t primary)
{
    if (primary == v->primary)
        return;
    v->primary = primary;
    vmwrite(VMCS_PRIMARY_CONTROLS, primary);
}

// The debugger's breakpoints are in its debug registers.
static bool is_shadowed(const struct vcpu *vcpu)
{
    return vcpu->debugged && vcpu->debugged->is_shadowed;
}

static void follow_breakpoints(struct vmx_vcpu *v, const struct exit *exit)
{
    struct vcpu *vcpu = &v->guest;
    uint32_t always = (uint32_t)v->vm->word[WORD_PRIMARY] & PRIMARY_MOV_DR_EXITING;
    if (exit->reason == EXIT_IO) {
        state_fetch(v, debug_missing(vcpu));
        io_breakpoints(vcpu, exit);
    }
    if (exit->reason == EXIT_MOV_DR && !is_shadowed(vcpu)) {
        requests_set_primary(v, (v->primary & ~PRIMARY_MOV_DR_EXITING) | always);
    } else if ((vcpu->fetched & STATE_DEBUG) && !debug_has_breakpoints(vcpu)) {
        requests_set_primary(v, v->primary | PRIMARY_MOV_DR_EXITING);
        vcpu->dirty &= ~(uint32_t)STATE_BREAKPOINTS;
    }
}

void requests_follow_debugging(struct vmx_vcpu *v, const struct exit *exit)
{
    if ((v->guest.dirty & STATE_BREAKPOINTS) && exit)
        follow_breakpoints(v, exit);
    if (v->guest.dirty & STATE_STEP) {
        state_fetch(v, STATE_FLOW);
        debugged_step(&v->guest, exit != NULL);
    }
}

// What its debugger wants of the CPU.
static void follow_debugger(struct vmx_vcpu *v)
{
    uint32_t primary = v->primary & ~PRIMARY_MONITOR_TRAP_FLAG;
    if ((v->guest.dirty & STATE_STEP) &&
        capabilities_allow(&host_capabilities, WORD_PRIMARY, PRIMARY_MONITOR_TRAP_FLAG))
        primary |= PRIMARY_MONITOR_TRAP_FLAG;
    if (is_shadowed(&v->guest))
        primary |= PRIMARY_MOV_DR_EXITING;
    requests_set_primary(v, primary);
    setup_exceptions(v);
}

static void set_windows(struct vmx_vcpu *v, bool interrupt, bool nmi)
{
    uint32_t primary =
        v->primary & ~(PRIMARY_INTERRUPT_WINDOW_EXITING | PRIMARY_NMI_WINDOW_EXITING);
    if (interrupt)
        primary |= PRIMARY_INTERRUPT_WINDOW_EXITING;
    // Without virtual NMIs the end of an NMI's handler cannot be seen: an interrupt window is the
    // nearest moment.
    if (nmi)
        primary |= vmx_uses(FEATURE_VIRTUAL_NMIS) ? PRIMARY_NMI_WINDOW_EXITING
                                                  : PRIMARY_INTERRUPT_WINDOW_EXITING;
    requests_set_primary(v, primary);
}

static void set_threshold(struct vmx_vcpu *v)
{
    if (!vmx_uses(FEATURE_TPR_SHADOW))
        return;
    uint8_t threshold = lapic_is_empty(&v->guest.lapic) ? 0 : lapic_tpr_threshold(&v->guest);
    if (threshold != v->tpr_threshold) {
        v->tpr_threshold = threshold;
        vmwrite(VMCS_TPR_THRESHOLD, threshold);
    }
}

static void inject(struct vmx_vcpu *v)
{
    struct vcpu *vcpu = &v->guest;
    uint32_t missing = event_needs(&vcpu->events) & ~vcpu->fetched;
    if (missing)
        state_fetch(v, missing);
    if (v->virtual_delivery) {
        apicv_deliver(v);
        event_choose_other(vcpu);
    } else {
        event_choose(vcpu);
        set_threshold(v);
    }
    const struct entry_plan *plan = &vcpu->events.plan;
    uint32_t info = plan->inject.info;
    if (info) {
        vmwrite_known(VMCS_ENTRY_INTERRUPTION_INFORMATION, info);
        if (info & EVENT_HAS_ERROR)
            vmwrite(VMCS_ENTRY_EXCEPTION_ERROR_CODE, plan->inject.error);
        if (FIELD_GET(EVENT_TYPE, info) >= EVENT_SOFTWARE_INTERRUPT)
            vmwrite(VMCS_ENTRY_INSTRUCTION_LENGTH, plan->inject.length);
    }
    set_windows(v, plan->interrupt_window, plan->nmi_window);
}

// A vCPU that does not run: does something wake it?
__attribute__((noinline)) static bool wake(struct vmx_vcpu *v)
{
    struct vcpu *vcpu = &v->guest;
    state_fetch(v, STATE_FLOW);
    if (!event_wakes(vcpu))
        return false;
    vcpu->activity = ACTIVITY_ACTIVE;
    vcpu->unhalted = false;
    vcpu_note(vcpu, REQUEST_EVENT);
    return true;
}

// Whatever is neither an event nor a tick.
__attribute__((noinline)) static void serve_rare(struct vmx_vcpu *v, uint32_t requests)
{
    struct vcpu *vcpu = &v->guest;
    if (requests & (REQUEST_SIGNAL | REQUEST_UNHALT | REQUEST_MACHINE_CHECK)) {
        if (requests & (REQUEST_SIGNAL | REQUEST_MACHINE_CHECK))
            state_fetch(v, STATE_FLOW | STATE_CONTROL);
        vcpu_take_requests(vcpu, requests);
        vcpu_note(vcpu, REQUEST_EVENT);
    }
    if (requests & REQUEST_APIC)
        apicv_follow(v);
    if (requests & REQUEST_FLUSH_TLB)
        tlb_flush_vpid(v);
    if (requests & REQUEST_FLUSH_EPT) {
        write_cr3(v->vm->view); // what left the VM left that, too; and first: then it may be reused
        tlb_flush_ept(v);
    }
    if (requests & REQUEST_PML) {
        ram_collect(vcpu->vm);
        vmwrite(VMCS_GUEST_PML_INDEX, PML_ENTRIES - 1);
    }
    if (requests & REQUEST_PREDICTION_BARRIER)
        wrmsr(MSR_PRED_CMD, 1);
    if (requests & REQUEST_FLUSH_L1D)
        wrmsr(MSR_FLUSH_CMD, 1);
    if (requests & REQUEST_DEBUG)
        follow_debugger(v);
    if (requests & REQUEST_CLOCK)
        kvmclock_update(vcpu);
}

// Whatever is not just an event for a vCPU that runs.
__attribute__((noinline)) static enum run_end serve_others(struct vmx_vcpu *v, uint32_t requests)
{
    struct vcpu *vcpu = &v->guest;
    if (requests & ~(uint32_t)(REQUEST_EVENT | REQUEST_TIMER | REQUEST_SCHEDULE))
        serve_rare(v, requests);
    if (requests & REQUEST_SCHEDULE) {
        v->slice_end = MIN(v->slice_end, v->slice_least);
        requests |= REQUEST_TIMER;
    }
    if ((requests & REQUEST_TIMER) && !timer_serve(v)) {
        vcpu_note(vcpu, (requests & REQUEST_EVENT) | REQUEST_TIMER);
        return RUN_SLICE;
    }
    if (vcpu->activity != ACTIVITY_ACTIVE && !wake(v)) {
        event_wait(vcpu);
        return RUN_WAITING;
    }
    return RUN_CONTINUE;
}

enum run_end requests_serve(struct vmx_vcpu *v, bool called_off)
{
    struct vcpu *vcpu = &v->guest;
    if (event_settle(&vcpu->events, called_off)) {
        vmwrite(VMCS_ENTRY_INTERRUPTION_INFORMATION, 0);
        vcpu_note(vcpu, REQUEST_EVENT);
    }
    uint32_t requests = atomic_exchange(&vcpu->requests, 0);
    if (vcpu->vm->stop_reason != STOP_NONE)
        return RUN_STOPPED;
    if (requests != REQUEST_EVENT || vcpu->activity != ACTIVITY_ACTIVE) {
        enum run_end end = serve_others(v, requests);
        if (end != RUN_CONTINUE)
            return end;
        // What came up there is served at once; what comes later calls the entry off.
        if (vcpu->requests & REQUEST_EVENT) {
            atomic_fetch_and(&vcpu->requests, ~(uint32_t)REQUEST_EVENT);
            requests |= REQUEST_EVENT;
        }
    }
    if (requests & REQUEST_EVENT)
        inject(v);
    if (vcpu->cr2_dirty) {
        write_cr2(vcpu->cr2);
        vcpu->cr2_dirty = false;
    }
    if (v->hold)
        timer_hold_entry(v);
    return RUN_CONTINUE;
}
