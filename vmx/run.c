// The life of an exit: requests, events, entry; then host events, facts, handler, verdict. The only
// place where a guest's RIP moves.

#include "vmx/run.h"

#include "arch/x86_64/registers.h"
#include "arch/x86_64/traps.h"
#include "arch/x86_64/tsc.h"
#include "lib/panic.h"
#include "vmx/dump.h"
#include "vmx/instructions.h"
#include "vmx/requests.h"
#include "vmx/state.h"

extern const uint8_t vmx_resume_window[], vmx_resume_window_end[], vmx_launch_window[],
    vmx_launch_window_end[], vmx_not_entered[];

#define ALWAYS_VALID        (STATE_XCR0 | STATE_TSC) // no register holds them but struct vcpu
#define EXIT_ENTRY_FAILURE  BIT32(31)
#define INTERRUPTION_VECTOR UINT32_C(0xff)

void run_init(void)
{
    nmi_add_window((struct nmi_window){vmx_resume_window, vmx_resume_window_end, vmx_not_entered});
    nmi_add_window((struct nmi_window){vmx_launch_window, vmx_launch_window_end, vmx_not_entered});
}

#define RARE_FACTS                                                                                 \
    (FACT_INSTRUCTION_INFO | FACT_LINEAR | FACT_PHYSICAL | FACT_INTERRUPTION | FACT_LENGTH |       \
     FACT_IDT)

static void fetch_rare_facts(uint32_t needs, struct exit *exit)
{
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
    if (needs & FACT_LENGTH)
        exit->instruction_length = vmread32(VMCS_EXIT_INSTRUCTION_LENGTH);
    if (needs & FACT_IDT) {
        exit->idt_info = vmread32(VMCS_IDT_VECTORING_INFORMATION);
        if (exit->idt_info & EVENT_VALID) {
            exit->idt_error = vmread32(VMCS_IDT_VECTORING_ERROR_CODE);
            exit->instruction_length = vmread32(VMCS_EXIT_INSTRUCTION_LENGTH);
        }
    }
}

// The facts and the state that `needs` names. Instruction exits have the length and STATE_FLOW
// already.
static inline void fetch(struct vmx_vcpu *v, uint32_t needs, struct exit *exit)
{
    if (needs & FACT_QUALIFICATION)
        exit->qualification = vmread(VMCS_EXIT_QUALIFICATION);
    if (needs & FACT_TIME)
        exit->now = clock_ns(&v->guest.vm->clock, rdtsc());
    if (needs & RARE_FACTS)
        fetch_rare_facts(needs, exit);
    if (needs & STATE_ALL & ~v->guest.fetched)
        state_fetch(v, needs & STATE_ALL);
    if ((needs & FACT_IDT) && (exit->idt_info & EVENT_VALID))
        event_take_interrupted(&v->guest, exit);
}

// The rare part of stepping over an instruction: shadows end, RF clears, a single-step trap becomes
// pending.
static void end_instruction(struct vcpu *vcpu)
{
    vcpu->interruptibility &= ~(BLOCKING_BY_STI | BLOCKING_BY_MOV_SS);
    vcpu->rflags &= ~RFLAGS_RF;
    vcpu->dirty |= STATE_FLOW;
    if (!(vcpu->rflags & RFLAGS_TF))
        return;
    state_fetch(vmx_vcpu(vcpu), STATE_DEBUG);
    if (!(vcpu->debugctl & DEBUGCTL_BTF)) {
        vcpu->pending_debug |= PENDING_DEBUG_BS;
        vcpu->dirty |= STATE_DEBUG;
    }
}

// RIP went past a multiple of 4 GiB: outside 64-bit mode it wraps there.
static void wrap(struct vcpu *vcpu)
{
    state_fetch(vmx_vcpu(vcpu), STATE_CONTROL | STATE_SEGMENTS);
    if (!vcpu_in_64bit(vcpu))
        vcpu->rip = (uint32_t)vcpu->rip;
}

// Steps over the instruction that exited: `length` from the VMCS or the decoder. STATE_FLOW is
// valid.
static inline void step_over(struct vcpu *vcpu, uint32_t length)
{
    vcpu->rip += length;
    if ((uint32_t)vcpu->rip < length)
        wrap(vcpu);
    uint32_t shadow = vcpu->interruptibility & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS);
    if (shadow | (vcpu->rflags & (RFLAGS_TF | RFLAGS_RF)))
        end_instruction(vcpu);
    if (!(vcpu->dirty & STATE_FLOW)) // else write-back does it
        vmwrite(VMCS_GUEST_RIP, vcpu->rip);
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

// Any verdict but a plain step over an instruction. Returns how the loop ends, or RUN_CONTINUE.
__attribute__((noinline)) static enum run_end apply(struct vmx_vcpu *v, const struct exit_row *row,
                                                    struct exit *exit, verdict_t verdict)
{
    struct vcpu *vcpu = &v->guest;
    // A handler that needs more gets it and is called again; it asks at most once for each group or
    // fact.
    for (unsigned i = 0; verdict.kind == VERDICT_NEED && i < 16; i++) {
        fetch(v, verdict.value & ~(uint32_t)FACT_IDT, exit);
        vcpu->fetched |= verdict.value; // facts too: the handler asks by them whether it was served
        verdict = row->handler(vcpu, exit);
    }
    uint32_t length = verdict.detail ? verdict.detail : exit->instruction_length;
    switch ((enum verdict_kind)verdict.kind) {
    case VERDICT_AGAIN:
        return RUN_CONTINUE;
    case VERDICT_NEXT:
        if (!row->is_instruction && !verdict.detail)
            break; // there is no instruction to step over
        state_fetch(v, STATE_FLOW);
        step_over(vcpu, length);
        return RUN_CONTINUE;
    case VERDICT_FAULT:
        state_fetch(v, STATE_FLOW | STATE_CONTROL);
        if (!event_raise(vcpu, verdict.detail, verdict.has_error, verdict.value))
            vm_stop(vcpu->vm, STOP_TRIPLE_FAULT, 0);
        vcpu_note(vcpu, REQUEST_EVENT);
        return RUN_CONTINUE;
    case VERDICT_WAIT:
        step_over(vcpu, exit->instruction_length);
        vcpu->activity = ACTIVITY_HALTED;
        vcpu_note(vcpu,
                  REQUEST_EVENT); // unless something wakes it at once, serving that ends the loop
        return RUN_CONTINUE;
    case VERDICT_YIELD:
        step_over(vcpu, exit->instruction_length);
        return RUN_YIELD;
    case VERDICT_STOP:
        dump_note_stop(v, exit);
        vm_stop(vcpu->vm, verdict.detail, verdict.value);
        return RUN_CONTINUE;
    case VERDICT_INVALID:
    case VERDICT_NEED:
        break;
    }
    dump_note_stop(v, exit);
    vm_stop(vcpu->vm, STOP_BUG, exit->reason);
    return RUN_CONTINUE;
}

// Runs the row's handler and applies its verdict.
static inline enum run_end handle(struct vmx_vcpu *v, const struct exit_row *row, struct exit *exit)
{
    struct vcpu *vcpu = &v->guest;
    if (row->is_instruction) {
        exit->instruction_length = vmread32(VMCS_EXIT_INSTRUCTION_LENGTH);
        vcpu->rip = vmread(VMCS_GUEST_RIP);
        vcpu->rflags = vmread(VMCS_GUEST_RFLAGS);
        vcpu->interruptibility = vmread32(VMCS_GUEST_INTERRUPTIBILITY);
        vcpu->fetched = STATE_FLOW | ALWAYS_VALID;
    } else {
        vcpu->fetched = ALWAYS_VALID;
    }
    if (row->needs)
        fetch(v, row->needs, exit);

    verdict_t verdict = row->handler(vcpu, exit);
    if (!verdict_is_next(verdict) || !row->is_instruction)
        return apply(v, row, exit, verdict);
    step_over(vcpu, exit->instruction_length);
    return RUN_CONTINUE;
}

static void entry_failed(struct vmx_vcpu *v, uint32_t reason)
{
    dump_entry_failure(v, reason);
    vm_stop(v->guest.vm, STOP_ENTRY_FAILED, reason & 0xffff);
}

// The first entry of a vCPU is checked by the manual's rules: an emulated CPU accepts states that
// silicon refuses.
static void check_first_launch(struct vmx_vcpu *v)
{
    if (v->checked)
        return;
    v->checked = true;
    if (dump_check_entry(v))
        v->guest.vm->host->log(v->guest.vm, "a CPU of silicon would refuse this VM entry");
}

// The world switch (enter.asm) gives back none of the registers.
static inline enum enter_result enter(struct vmx_vcpu *v)
{
    enum enter_result result;
    struct vmx_vcpu *vcpu = v;
    struct vcpu **frame = &v->cpu->frame.vcpu;
#define REGISTERS "rbx", "rcx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"
    if (__builtin_expect(v->launched, true)) {
        __asm__ volatile("call vmx_resume"
                         : "=a"(result), "+D"(vcpu), "+d"(frame)
                         :
                         : REGISTERS, "cc", "memory");
    } else {
        check_first_launch(v);
        __asm__ volatile("call vmx_launch"
                         : "=a"(result), "+D"(vcpu), "+d"(frame)
                         :
                         : REGISTERS, "cc", "memory");
        v->launched = result == ENTER_EXITED;
    }
#undef REGISTERS
    return result;
}

enum run_end vcpu_run(struct vmx_vcpu *v, uint64_t slice_end)
{
    struct vcpu *vcpu = &v->guest;
    struct exit exit = {0};
    enum run_end end = RUN_CONTINUE;
    uint32_t reason = STATS_OTHER, left = (uint32_t)rdtsc();

    v->slice_end = slice_end;
    vcpu_note(vcpu, REQUEST_TIMER);
    for (;;) {
        if (vcpu->dirty)
            state_write_back(v);
        uint32_t cycles = (uint32_t)rdtsc() - left;
        stats_count(&vcpu->stats, reason, cycles);
        if (end != RUN_CONTINUE)
            return end;
        v->root_cycles += cycles;
        if (v->root_cycles > v->timer_slack)
            vcpu_note(vcpu, REQUEST_TIMER);

        enum enter_result result = enter(v);
        left = (uint32_t)rdtsc();
        if (result != ENTER_EXITED) {
            reason = STATS_OTHER;
            vcpu->fetched = ALWAYS_VALID;
            if (result == ENTER_FAILED)
                entry_failed(v, STATS_OTHER);
            end = requests_serve(v);
            continue;
        }
        exit.reason = vmread32(VMCS_EXIT_REASON);
        if (exit.reason >= EXIT_REASONS) { // a failed entry has bit 31 set
            reason = STATS_OTHER;
            entry_failed(v, exit.reason);
            continue;
        }
        reason = exit.reason;
        const struct exit_row *row = &exit_table[reason];
        if (!row->is_instruction && serve_host_event(v, reason))
            continue;
        end = handle(v, row, &exit);
    }
}
