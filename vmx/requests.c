// Serving requests: the slow part of the loop, entered only when somebody set a bit.

#include "vmx/requests.h"

#include "arch/x86_64/apic.h"
#include "arch/x86_64/registers.h"
#include "arch/x86_64/tsc.h"
#include "exits/io.h"
#include "vm/debug.h"
#include "vm/kvmclock.h"
#include "vmx/apicv.h"
#include "vmx/instructions.h"
#include "vmx/state.h"
#include "vmx/tlb.h"

// The earliest moment, in VM time, at which this vCPU's local APIC or (vCPU 0 looks after them) a
// device wants a tick.
static uint64_t next_tick(struct vcpu *vcpu)
{
    uint64_t deadline = vcpu->lapic.deadline;
    if (vcpu->id == 0)
        deadline = MIN(deadline, vcpu->vm->device_deadline);
    return deadline;
}

// For v->deadline.
static inline void arm_preemption_timer(struct vmx_vcpu *v, uint64_t tsc)
{
    uint64_t left = v->deadline > tsc ? (v->deadline - tsc) >> v->timer_rate : 0;
    vmwrite(VMCS_PREEMPTION_TIMER_VALUE, MIN(left, UINT32_MAX));
    v->timer_slack = v->timer_slack_full;
}

// A deadline that has passed is served before the guest is entered: requests of others may call
// entry after entry off, and a slice must end all the same.
void requests_rearm_timer(struct vmx_vcpu *v)
{
    uint64_t tsc = rdtsc();
    if (tsc >= v->deadline)
        vcpu_note(&v->guest, REQUEST_TIMER);
    else if (__builtin_expect(machine_uses(FEATURE_PREEMPTION_TIMER), true))
        arm_preemption_timer(v, tsc);
}

// Ticks what is due and arms the timer for what comes next. False: the slice is over.
static bool serve_timers(struct vmx_vcpu *v)
{
    struct vcpu *vcpu = &v->guest;
    struct vm *vm = vcpu->vm;
    uint64_t tsc = rdtsc(), now = clock_ns(&vm->clock, tsc);
    if (vcpu->lapic.deadline <= now)
        lapic_tick(vcpu, now);
    if (vcpu->id == 0 && vm->device_deadline <= now)
        vm->tick_devices(vm, now);
    if (tsc >= v->slice_end)
        return false;
    uint64_t deadline = clock_tsc(&vm->clock, next_tick(vcpu));
    v->deadline = MIN(v->slice_end, deadline);
    if (machine_uses(FEATURE_PREEMPTION_TIMER))
        arm_preemption_timer(v, tsc);
    else
        apic_timer_arm(v->deadline);
    return true;
}

void requests_set_primary(struct vmx_vcpu *v, uint32_t primary)
{
    if (primary == v->primary)
        return;
    v->primary = primary;
    vmwrite(VMCS_PRIMARY_CONTROLS, primary);
}

void requests_follow_breakpoints(struct vmx_vcpu *v, const struct exit *exit)
{
    struct vcpu *vcpu = &v->guest;
    uint32_t always = (uint32_t)v->vm->word[WORD_PRIMARY] & PRIMARY_MOV_DR_EXITING;
    if (exit->reason == EXIT_IO) {
        state_fetch(v, debug_missing(vcpu));
        io_breakpoints(vcpu, exit);
    }
    if (exit->reason == EXIT_MOV_DR) {
        requests_set_primary(v, (v->primary & ~PRIMARY_MOV_DR_EXITING) | always);
    } else if ((vcpu->fetched & STATE_DEBUG) && !debug_has_breakpoints(vcpu)) {
        requests_set_primary(v, v->primary | PRIMARY_MOV_DR_EXITING);
        vcpu->dirty &= ~(uint32_t)STATE_BREAKPOINTS;
    }
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
        primary |= machine_uses(FEATURE_VIRTUAL_NMIS) ? PRIMARY_NMI_WINDOW_EXITING
                                                      : PRIMARY_INTERRUPT_WINDOW_EXITING;
    requests_set_primary(v, primary);
}

static void set_threshold(struct vmx_vcpu *v)
{
    if (!machine_uses(FEATURE_TPR_SHADOW))
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
    if (vcpu->activity != ACTIVITY_HALTED)
        return false;
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
    if (requests &
        (REQUEST_NMI | REQUEST_INIT | REQUEST_SIPI | REQUEST_UNHALT | REQUEST_MACHINE_CHECK)) {
        state_fetch(v, requests & (REQUEST_INIT | REQUEST_MACHINE_CHECK) ? STATE_CONTROL : 0);
        vcpu_take_requests(vcpu, requests);
        vcpu_note(vcpu, REQUEST_EVENT);
    }
    if (requests & REQUEST_APIC)
        apicv_follow(v);
    if (requests & REQUEST_FLUSH_TLB)
        tlb_flush_vpid(v);
    if (requests & REQUEST_FLUSH_EPT)
        tlb_flush_ept(v);
    if (requests & REQUEST_PREDICTION_BARRIER)
        wrmsr(MSR_PRED_CMD, 1);
    if (requests & REQUEST_FLUSH_L1D)
        wrmsr(MSR_FLUSH_CMD, 1);
    if (requests & REQUEST_CLOCK)
        kvmclock_update(vcpu);
}

// Whatever is not just an event for a vCPU that runs.
__attribute__((noinline)) static enum run_end serve_others(struct vmx_vcpu *v, uint32_t requests)
{
    struct vcpu *vcpu = &v->guest;
    if (requests & ~(uint32_t)(REQUEST_EVENT | REQUEST_TIMER | REQUEST_SCHEDULE))
        serve_rare(v, requests);
    if ((requests & REQUEST_TIMER) && !serve_timers(v)) {
        vcpu_note(vcpu, (requests & REQUEST_EVENT) | REQUEST_TIMER);
        return RUN_SLICE;
    }
    if (vcpu->activity != ACTIVITY_ACTIVE && !wake(v))
        return RUN_WAITING;
    if (requests & REQUEST_SCHEDULE) {
        vcpu_note(vcpu, REQUEST_EVENT | REQUEST_TIMER);
        return RUN_SLICE;
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
    return RUN_CONTINUE;
}

uint64_t vcpu_next_deadline(struct vmx_vcpu *v)
{
    return clock_tsc(&v->guest.vm->clock, next_tick(&v->guest));
}
