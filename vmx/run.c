// The life of an exit: requests, events, entry; then host events, facts, handler, verdict. The only
// place where a guest's RIP moves.

#include "vmx/run.h"

#include "arch/x86_64/apic.h"
#include "arch/x86_64/registers.h"
#include "arch/x86_64/traps.h"
#include "arch/x86_64/tsc.h"
#include "lib/panic.h"
#include "vmx/dump.h"
#include "vmx/instructions.h"
#include "vmx/requests.h"
#include "vmx/state.h"

enum enter_result vmx_enter(struct vcpu *vcpu, bool launched, struct vcpu **frame);

extern const uint8_t vmx_window_begin[], vmx_window_end[], vmx_window_resume[];

#define FACTS                                                                                      \
    (FACT_QUALIFICATION | FACT_INSTRUCTION_INFO | FACT_LINEAR | FACT_PHYSICAL |                    \
     FACT_INTERRUPTION | FACT_TIME | FACT_IDT)
#define ALWAYS_VALID (STATE_XCR0 | STATE_TSC) // no register holds them but struct vcpu
#define EXIT_ENTRY_FAILURE  BIT32(31)
#define INTERRUPTION_VECTOR UINT32_C(0xff)

void run_init(void)
{
    nmi_add_window((struct nmi_window){vmx_window_begin, vmx_window_end, vmx_window_resume});
}

void run_kick(struct vcpu *vcpu)
{
    struct vmx_cpu *target = vmx_vcpu(vcpu)->cpu;
    if (!target || target->cpu == this_cpu())
        return;
    target->wake = 1;
    apic_send_nmi(target->cpu->apic_id);
}

// Facts that most exits do without.
static void fetch_facts(struct vmx_vcpu *v, uint32_t needs, struct exit *exit)
{
    if (needs & FACT_QUALIFICATION)
        exit->qualification = vmread(VMCS_EXIT_QUALIFICATION);
    if (needs & FACT_INSTRUCTION_INFO)
        exit->instruction_info = vmread32(VMCS_EXIT_INSTRUCTION_INFORMATION);
    if (needs & FACT_LINEAR)
        exit->linear = gva(vmread(VMCS_GUEST_LINEAR_ADDRESS));
    if (needs & FACT_PHYSICAL)
        exit->physical = gpa(vmread(VMCS_GUEST_PHYSICAL_ADDRESS));
    if (needs & FACT_INTERRUPTION) {
        exit->interruption_info = vmread32(VMCS_EXIT_INTERRUPTION_INFORMATION);
        exit->interruption_error = vmread32(VMCS_EXIT_INTERRUPTION_ERROR_CODE);
    }
    if (needs & FACT_TIME)
        exit->now = clock_ns(&v->guest.vm->clock, rdtsc());
    if (needs & FACT_LENGTH)
        exit->instruction_length = vmread32(VMCS_EXIT_INSTRUCTION_LENGTH);
    exit->idt_info = 0;
    if (needs & FACT_IDT) {
        exit->idt_info = vmread32(VMCS_IDT_VECTORING_INFORMATION);
        if (exit->idt_info & EVENT_VALID) {
            exit->idt_error = vmread32(VMCS_IDT_VECTORING_ERROR_CODE);
            exit->instruction_length = vmread32(VMCS_EXIT_INSTRUCTION_LENGTH);
        }
    }
}

// Steps over the instruction that exited: `length` from the VMCS or the decoder. STATE_FLOW is
// valid.
static void step_over(struct vcpu *vcpu, uint32_t length)
{
    uint64_t from = vcpu->rip;
    vcpu->rip = from + length;
    // Outside 64-bit mode the instruction pointer wraps at 4 GiB (a 16-bit one faults at its
    // segment's limit).
    if (((from ^ vcpu->rip) >> 31) == 3) {
        state_fetch(vmx_vcpu(vcpu), STATE_CONTROL | STATE_SEGMENTS);
        if (!vcpu_in_64bit(vcpu))
            vcpu->rip = (uint32_t)vcpu->rip;
    }
    uint32_t shadow = vcpu->interruptibility & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS);
    if (!shadow && !(vcpu->rflags & (RFLAGS_TF | RFLAGS_RF))) {
        if (vcpu->dirty & STATE_FLOW)
            return; // write_back does it
        vmwrite(VMCS_GUEST_RIP, vcpu->rip);
        return;
    }
    vcpu->interruptibility &= ~(BLOCKING_BY_STI | BLOCKING_BY_MOV_SS);
    vcpu->rflags &= ~RFLAGS_RF;
    vcpu->dirty |= STATE_FLOW;
    if (vcpu->rflags & RFLAGS_TF) {
        state_fetch(vmx_vcpu(vcpu), STATE_DEBUG);
        if (!(vcpu->debugctl & DEBUGCTL_BTF)) {
            vcpu->pending_debug |= PENDING_DEBUG_BS;
            vcpu->dirty |= STATE_DEBUG;
        }
    }
}

static void stop_vm(struct vcpu *vcpu, enum stop_reason reason, uint32_t code)
{
    vm_stop(vcpu->vm, reason, code);
}

// The uncommon verdicts. Returns how the loop ends, or RUN_CONTINUE.

static enum run_end apply_rare(struct vmx_vcpu *v, const struct exit *exit, verdict_t verdict)
{
    struct vcpu *vcpu = &v->guest;
    uint32_t length = verdict.detail ? verdict.detail : exit->instruction_length;
    switch ((enum verdict_kind)verdict.kind) {
    case VERDICT_FAULT:
        state_fetch(v, STATE_FLOW | STATE_CONTROL);
        if (!event_raise(vcpu, verdict.detail, verdict.has_error, verdict.value))
            stop_vm(vcpu, STOP_TRIPLE_FAULT, 0);
        vcpu_note(vcpu, REQUEST_EVENT);
        return RUN_CONTINUE;
    case VERDICT_WAIT:
        step_over(vcpu, length);
        vcpu->activity = ACTIVITY_HALTED;
        vcpu_note(vcpu, REQUEST_EVENT);
        return RUN_CONTINUE; // unless something wakes it at once, the requests end the loop
    case VERDICT_YIELD:
        step_over(vcpu, length);
        return RUN_YIELD;
    case VERDICT_STOP:
        dump_note_stop(v, exit);
        stop_vm(vcpu, verdict.detail, verdict.value);
        return RUN_CONTINUE;
    case VERDICT_INVALID:
    case VERDICT_NEED:
    case VERDICT_NEXT:
    case VERDICT_AGAIN:
        break;
    }
    dump_note_stop(v, exit);
    stop_vm(vcpu, STOP_BUG, exit->reason);
    return RUN_CONTINUE;
}

// Host events never leave this file: they are served before anybody looks at the guest. True:
// served.
static inline bool serve_host_event(struct vmx_vcpu *v, uint32_t reason)
{
    struct vcpu *vcpu = &v->guest;
    if (reason == EXIT_PREEMPTION_TIMER) {
        vcpu_note(vcpu, REQUEST_TIMER);
        return true;
    }
    if (reason == EXIT_EXTERNAL_INTERRUPT) {
        interrupt_dispatch(
            (uint8_t)(vmread32(VMCS_EXIT_INTERRUPTION_INFORMATION) & INTERRUPTION_VECTOR));
        v->slice_end = 0; // the CPU's loop has something to look at
        vcpu_note(vcpu, REQUEST_TIMER);
        return true;
    }
    if (reason == EXIT_EXCEPTION_NMI) {
        uint32_t info = vmread32(VMCS_EXIT_INTERRUPTION_INFORMATION);
        if (FIELD_GET(EVENT_TYPE, info) == EVENT_NMI) {
            nmi_unblock(); // a kick: the requests say why
            return true;
        }
        if ((info & INTERRUPTION_VECTOR) == VECTOR_MC)
            panic("machine check while a guest ran");
    }
    return false;
}

// Runs the row's handler and applies its verdict.
static inline enum run_end handle(struct vmx_vcpu *v, uint32_t reason, struct exit *exit)
{
    struct vcpu *vcpu = &v->guest;
    const struct exit_row *row = &exit_table[reason];
    uint32_t needs = row->needs;
    if (row->is_instruction) {
        exit->instruction_length = vmread32(VMCS_EXIT_INSTRUCTION_LENGTH);
        vcpu->rip = vmread(VMCS_GUEST_RIP);
        vcpu->rflags = vmread(VMCS_GUEST_RFLAGS);
        vcpu->interruptibility = vmread32(VMCS_GUEST_INTERRUPTIBILITY);
        vcpu->fetched = STATE_FLOW | ALWAYS_VALID;
    }
    if (needs & FACTS)
        fetch_facts(v, needs, exit);
    if (needs & STATE_ALL & ~vcpu->fetched)
        state_fetch(v, needs & STATE_ALL);
    if ((needs & FACT_IDT) && (exit->idt_info & EVENT_VALID))
        event_take_interrupted(vcpu, exit);

    verdict_t verdict = row->handler(vcpu, exit);
    // A handler asks at most once for each group.
    for (unsigned i = 0; verdict.kind == VERDICT_NEED && i < 16; i++) {
        state_fetch(v, verdict.value & STATE_ALL);
        verdict = row->handler(vcpu, exit);
    }
    if (verdict.kind == VERDICT_NEXT && row->is_instruction) {
        step_over(vcpu, verdict.detail ? verdict.detail : exit->instruction_length);
        return RUN_CONTINUE;
    }
    if (verdict.kind == VERDICT_NEXT && verdict.detail) {
        state_fetch(v, STATE_FLOW);
        step_over(vcpu, verdict.detail);
        return RUN_CONTINUE;
    }
    if (verdict.kind == VERDICT_AGAIN)
        return RUN_CONTINUE;
    return apply_rare(v, exit, verdict);
}

static enum run_end entry_failed(struct vmx_vcpu *v, uint32_t reason)
{
    dump_entry_failure(v, reason);
    stop_vm(&v->guest, STOP_ENTRY_FAILED, reason & 0xffff);
    return RUN_CONTINUE;
}

enum run_end vcpu_run(struct vmx_vcpu *v, uint64_t slice_end)
{
    struct vcpu *vcpu = &v->guest;
    struct exit exit = {0};
    enum run_end end = RUN_CONTINUE;
    uint32_t reason = EXIT_REASONS, left = 0;

    v->slice_end = slice_end;
    vcpu_note(vcpu, REQUEST_TIMER);
    while (end == RUN_CONTINUE) {
        if (atomic_load_explicit(&vcpu->requests, memory_order_acquire)) {
            end = requests_serve(v);
            if (end != RUN_CONTINUE)
                break;
        }
        if (vcpu->dirty)
            state_write_back(v);
        if (reason < EXIT_REASONS) {
            uint32_t cycles = (uint32_t)rdtsc() - left;
            stats_count(&vcpu->stats, reason, cycles);
            v->root_cycles += cycles;
            if (v->root_cycles > v->timer_slack) {
                vcpu_note(vcpu, REQUEST_TIMER);
                reason = EXIT_REASONS;
                continue;
            }
        }
        enum enter_result result = vmx_enter(vcpu, v->launched, &v->cpu->frame.vcpu);
        left = (uint32_t)rdtsc();
        vcpu->fetched = ALWAYS_VALID;
        if (result != ENTER_EXITED) {
            reason = EXIT_REASONS;
            if (result == ENTER_FAILED)
                end = entry_failed(v, EXIT_REASONS);
            continue;
        }
        v->launched = true;
        exit.reason = vmread32(VMCS_EXIT_REASON);
        reason = exit.reason & 0xffff;
        if (exit.reason & EXIT_ENTRY_FAILURE || reason >= EXIT_REASONS) {
            end = entry_failed(v, exit.reason);
            reason = EXIT_REASONS;
            continue;
        }
        if (serve_host_event(v, reason))
            continue;
        end = handle(v, reason, &exit);
    }
    if (reason < EXIT_REASONS)
        stats_count(&vcpu->stats, reason, (uint32_t)rdtsc() - left);
    return end;
}
