// The life of an exit: requests, events, entry; then host events, facts, handler, verdict. The only
// place where a guest's RIP moves.

#include "vmx/run.h"

#include "arch/x86_64/registers.h"
#include "arch/x86_64/traps.h"
#include "arch/x86_64/tsc.h"
#include "vm/emulate/linear.h"
#include "vm/watch.h"
#include "vmx/context.h"
#include "vmx/dump.h"
#include "vmx/instructions.h"
#include "vmx/ram.h"
#include "vmx/requests.h"
#include "vmx/state.h"
#include "vmx/timer.h"

extern const struct nmi_window vmx_windows[4]; // enter.asm

#define COLD __attribute__((cold, noinline))

#define BUS_LOCK_COST       100000 // ns
#define INTERRUPTION_VECTOR UINT32_C(0xff)

void run_init(void)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(vmx_windows); i++)
        nmi_add_window(vmx_windows[i]);
}

#define RARE_FACTS                                                                                 \
    (FACT_INSTRUCTION_INFO | FACT_LINEAR | FACT_PHYSICAL | FACT_INTERRUPTION | FACT_LENGTH |       \
     FACT_IDT | FACT_RANDOM)

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
    if (needs & FACT_RANDOM)
        exit->has_random =
            exit->reason == EXIT_RDSEED ? rdseed(&exit->random) : rdrand(&exit->random);
    if (needs & FACT_IDT) {
        exit->idt_info = vmread32(VMCS_IDT_VECTORING_INFORMATION);
        if (exit->idt_info & EVENT_VALID) {
            exit->idt_error = vmread32(VMCS_IDT_VECTORING_ERROR_CODE);
            exit->instruction_length = vmread32(VMCS_EXIT_INSTRUCTION_LENGTH);
        }
    }
}

// The facts and the state that `needs` names.
static void fetch(struct vmx_vcpu *v, uint32_t needs, struct exit *exit)
{
    if (needs & FACT_QUALIFICATION)
        exit->qualification = vmread(VMCS_EXIT_QUALIFICATION);
    if (needs & RARE_FACTS)
        fetch_rare_facts(needs, exit);
    if (needs & STATE_ALL & ~v->guest.fetched)
        state_fetch(v, needs & STATE_ALL);
    if ((needs & FACT_IDT) && (exit->idt_info & EVENT_VALID))
        event_take_interrupted(&v->guest, exit);
}

static inline void fetch_instruction(struct vcpu *vcpu)
{
    vmread_into(&vcpu->rip, VMCS_GUEST_RIP);
    vmread_into(&vcpu->rflags, VMCS_GUEST_RFLAGS);
    vmread_into(&vcpu->interruptibility, VMCS_GUEST_INTERRUPTIBILITY);
    vcpu->fetched = STATE_FLOW | ALWAYS_VALID;
}

// RIP may have gone past a multiple of 4 GiB: outside 64-bit mode it wraps there.
COLD static void wrap(struct vcpu *vcpu)
{
    state_fetch(vmx_vcpu(vcpu), STATE_CONTROL | STATE_MODE);
    if (!vcpu_in_64bit(vcpu))
        vcpu->rip = (uint32_t)vcpu->rip;
}

// Steps over the instruction that exited: `length` from the VMCS or the decoder. STATE_FLOW is
// valid. The new RIP goes to the VMCS at once, even if a handler's changes are written back later.
static inline void step_over(struct vcpu *vcpu, uint64_t length)
{
    vcpu->rip += length;
    if ((uint32_t)vcpu->rip < INSTRUCTION_MAX)
        wrap(vcpu);
    if ((vcpu->interruptibility & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS)) ||
        (vcpu->rflags & (RFLAGS_TF | RFLAGS_RF)))
        state_end_instruction(vcpu);
    vmwrite_from(VMCS_GUEST_RIP, &vcpu->rip);
}

// The same by a decoded length, perhaps of a MOV SS.
COLD static void step_over_blocking(struct vcpu *vcpu, verdict_t verdict)
{
    step_over(vcpu, verdict.detail);
    vcpu->interruptibility |= verdict.value ? BLOCKING_BY_MOV_SS : 0;
    vcpu->dirty |= verdict.value ? STATE_FLOW : 0;
}

// The same by the VMCS's length, after an instruction exit: it is not read before it is needed.
static inline void step_over_instruction(struct vcpu *vcpu)
{
    step_over(vcpu, vmread_known(VMCS_EXIT_INSTRUCTION_LENGTH));
}

// What this vCPU did, or met, ends the VM: where it stands will be asked for.
COLD static void end_vm(struct vmx_vcpu *v, enum stop_reason reason, uint32_t code)
{
    state_fetch(v, STATE_ALL);
    if (vm_stop(v->guest.vm, reason, code))
        v->guest.vm->stopped_by = &v->guest;
}

// A locked access that the bus is locked for stalls every CPU: its VM pays for that, and its slice
// ends.
static void charge_bus_lock(struct vmx_vcpu *v)
{
    v->sched.debt += BUS_LOCK_COST;
    v->slice_end = 0;
    vcpu_note(&v->guest, REQUEST_TIMER);
}

// Host events never leave this file: they are served before anybody looks at the guest. True:
// served.
static bool serve_host_event(struct vmx_vcpu *v, uint32_t reason)
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
            nmi_unblock();                       // a kick: the requests say why
            if (!vmx_uses(FEATURE_VIRTUAL_NMIS)) // else Bochs holds back the next one
                vmwrite(VMCS_GUEST_INTERRUPTIBILITY,
                        vmread32(VMCS_GUEST_INTERRUPTIBILITY) & ~BLOCKING_BY_NMI);
            this_cpu()->charge = CHARGE_NONE;
            return true;
        }
        if ((info & INTERRUPTION_VECTOR) == VECTOR_MC)
            (void)ram_machine_check(&v->guest); // the handler tells the guest
    }
    return false;
}

// Any verdict but a plain step over an instruction. Returns how the loop ends, or RUN_CONTINUE.
COLD static enum run_end apply(struct vmx_vcpu *v, struct exit *exit, verdict_t verdict)
{
    const struct exit_row *row = &exit_table[exit->reason];
    struct vcpu *vcpu = &v->guest;
    // A handler that needs more gets it and is called again; it asks at most once for each group or
    // fact.
    for (unsigned i = 0; verdict.kind == VERDICT_NEED && i < 16; i++) {
        fetch(v, verdict.value & ~(uint32_t)FACT_IDT, exit);
        vcpu->fetched |= verdict.value; // facts too: the handler asks by them whether it was served
        verdict = row->handler(vcpu, exit);
    }
    if (vcpu->watch)
        watch_entry_now(vcpu->watch)->verdict = verdict;
    switch ((enum verdict_kind)verdict.kind) {
    case VERDICT_AGAIN:
        return RUN_CONTINUE;
    case VERDICT_NEXT:
        state_fetch(v, STATE_FLOW);
        if (verdict.detail)
            step_over_blocking(vcpu, verdict);
        else if (row->needs & FACT_INSTRUCTION)
            step_over_instruction(vcpu);
        else
            break; // there is nothing to step over
        return RUN_CONTINUE;
    case VERDICT_FAULT:
        state_fetch(v, STATE_FLOW | STATE_CONTROL);
        if (!event_raise(vcpu, verdict.detail, verdict.has_error, verdict.value))
            end_vm(v, STOP_TRIPLE_FAULT, 0);
        vcpu_note(vcpu, REQUEST_EVENT);
        return RUN_CONTINUE;
    case VERDICT_WAIT:
        step_over_instruction(vcpu);
        if (vcpu_trap_waits(vcpu)) // which wakes
            return RUN_CONTINUE;
        vcpu->activity = ACTIVITY_HALTED;
        vcpu_note(vcpu, REQUEST_EVENT); // unless it is woken at once, that ends the loop
        return RUN_CONTINUE;
    case VERDICT_YIELD:
        step_over_instruction(vcpu);
        v->yield_to = verdict.value;
        return RUN_YIELD;
    case VERDICT_STOP:
        end_vm(v, verdict.detail, verdict.value);
        return RUN_CONTINUE;
    case VERDICT_INVALID:
    case VERDICT_NEED:
        break;
    }
    end_vm(v, STOP_BUG, exit->reason);
    return RUN_CONTINUE;
}

// Rows that need more than the hot path fetches: exits that are no instruction's, and instructions
// that are not frequent.
__attribute__((noinline)) static enum run_end handle_other(struct vmx_vcpu *v, struct exit *exit)
{
    const struct exit_row *row = &exit_table[exit->reason];
    if (row->needs & FACT_INSTRUCTION) {
        fetch_instruction(&v->guest);
    } else {
        v->guest.fetched = ALWAYS_VALID;
        if (serve_host_event(v, exit->reason))
            return RUN_CONTINUE;
    }
    fetch(v, row->needs, exit);
    return apply(v, exit, row->handler(&v->guest, exit));
}

// `exit` is NULL if the entry failed before it began: VMfail.
COLD static void entry_failed(struct vmx_vcpu *v, const struct exit *exit)
{
    uint32_t reason = exit ? exit->reason : STATS_OTHER;
    if (exit && (reason & ~EXIT_ENTRY_FAILURE) == EXIT_ENTRY_MACHINE_CHECK &&
        !ram_machine_check(&v->guest))
        return; // it is made again
    dump_entry_failure(v, reason);
    end_vm(v, STOP_ENTRY_FAILED, reason & 0xffff);
}

// The exit reason has bits beside the basic reason: what they say. Returns the basic reason, or
// EXIT_REASONS if the entry failed.
COLD static uint64_t look_at_flags(struct vmx_vcpu *v, struct exit *exit)
{
    uint32_t reason = exit->reason & ~EXIT_BUS_LOCKED;
    if (reason < EXIT_REASONS) {
        charge_bus_lock(v);
        return exit->reason = reason;
    }
    entry_failed(v, exit);
    return EXIT_REASONS;
}

// The world switch (enter.asm) gives back none of the registers.
static inline enum enter_result enter(struct vmx_vcpu **v)
{
    enum enter_result result;
    __asm__ goto("call *%c[enter](%%rbx)\n\tjc %l[not_entered]"
                 : "=a"(result), "+b"(*v)
                 : [enter] "i"(offsetof(struct vmx_vcpu, enter))
                 : "rcx", "rdx", "rsi", "rdi", "rbp", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
                   "r15", "cc", "memory"
                 : not_entered);
    return ENTER_EXITED;
not_entered:
    if (result == ENTER_EXITED)
        __builtin_unreachable();
    return result;
}

// Root operation begins.
static inline void stamp(struct exit *exit)
{
    __asm__ volatile("rdtsc" : "=a"(exit->tsc_low), "=d"(exit->tsc_high));
    vmx_cost_begin();
}

// The guest of a watched vCPU has exited; what happened, before anything is done about it.
COLD static void watch_exit(struct vmx_vcpu *v, uint64_t tsc)
{
    uint32_t reason = vmread32(VMCS_EXIT_REASON) & ~EXIT_BUS_LOCKED;
    struct watch *watch = v->guest.watch;
    if (reason >= EXIT_REASONS)
        return;
    v->guest.fetched = ALWAYS_VALID;
    state_fetch(v, STATE_FLOW | STATE_CONTROL | STATE_SEGMENTS | STATE_SYSTEM);
    watch_begin(watch, &v->guest, reason, tsc);
    struct watch_entry *entry = watch_entry_now(watch);
    entry->qualification = vmread(VMCS_EXIT_QUALIFICATION);
    entry->linear = vmread(VMCS_GUEST_LINEAR_ADDRESS);
    entry->physical = vmread(VMCS_GUEST_PHYSICAL_ADDRESS);
    entry->interruption_info = vmread32(VMCS_EXIT_INTERRUPTION_INFORMATION);
    entry->interruption_error = vmread32(VMCS_EXIT_INTERRUPTION_ERROR_CODE);
    entry->instruction_info = vmread32(VMCS_EXIT_INSTRUCTION_INFORMATION);
    if (exit_table[reason].needs & FACT_INSTRUCTION)
        entry->length = (uint8_t)MIN(entry->length, vmread32(VMCS_EXIT_INSTRUCTION_LENGTH));
}

// Something changed; or there may be breakpoints, or a step; or the operator watches these exits:
// then the next entry is called off once, so that it is made where watch_exit() follows it.
COLD static void leave_slowly(struct vmx_vcpu *v, uint64_t at, const struct exit *exit)
{
    if (v->guest.dirty & (STATE_BREAKPOINTS | STATE_STEP))
        requests_follow_debugging(v, at != STATS_AT(STATS_OTHER) ? exit : NULL);
    state_write_back(v);
    if (!v->guest.watch || at == STATS_AT(STATS_OTHER))
        return;
    watch_end(v->guest.watch, &v->guest, (uint32_t)rdtsc() - exit->tsc_low);
    vcpu_note(&v->guest, REQUEST_WATCH);
}

// ... and ends: what changed goes to the VMCS, the time to the reason of the exit.
static inline void leave(struct vmx_vcpu *v, uint64_t at, const struct exit *exit)
{
    if (v->guest.dirty & (STATE_ALL | STATE_STICKY))
        leave_slowly(v, at, exit);
    uint32_t cycles = (uint32_t)rdtsc() - exit->tsc_low, cost = vmx_cost(cycles);
    v->timer_slack -= cycles;
    if (v->timer_slack < 0)
        timer_rearm(v);
    stats_count(&v->guest.stats, at, cost);
}

// The first entry since the VMCS was cleared.
COLD static enum enter_result first_entry(struct vmx_vcpu *v)
{
    dump_check_first(v);
    if (v->vm->fails_entry)
        context_spoil(v);
    enum enter_result result = enter(&v);
    v->launched = result == ENTER_EXITED && !(vmread32(VMCS_EXIT_REASON) & EXIT_ENTRY_FAILURE);
    context_choose_entry(v);
    return result;
}

enum run_end vcpu_run(struct vmx_vcpu *v, uint64_t slice_end)
{
    struct exit exit = {0};
    uint64_t at = STATS_AT(STATS_OTHER); // where the time is counted
    enum run_end end;
    stamp(&exit);
    v->slice_end = slice_end;
    v->deadline = 0;                     // nothing is armed
    v->guest.callers = 0;                // it does not wait
    vcpu_note(&v->guest, REQUEST_TIMER); // so that a first entry goes by first_entry()
    if (v->vm->restores)
        ram_restore(v);
    for (;;) {
        leave(v, at, &exit);
        enum enter_result result = enter(&v);
        for (bool called_off = false; result != ENTER_EXITED; called_off = true) {
            stamp(&exit);
            at = STATS_AT(STATS_OTHER);
            if (result == ENTER_FAILED)
                entry_failed(v, NULL);
            if ((end = requests_serve(v, called_off)) != RUN_CONTINUE)
                goto out;
            leave(v, at, &exit);
            result = v->launched ? enter(&v) : first_entry(v);
            if (result == ENTER_EXITED && v->guest.watch)
                watch_exit(v, rdtsc());
        }
        stamp(&exit);
        uint64_t reason = vmread_known(VMCS_EXIT_REASON);
        exit.reason = (uint32_t)reason;
        if (reason >= EXIT_REASONS && (reason = look_at_flags(v, &exit)) >= EXIT_REASONS) {
            at = STATS_AT(STATS_OTHER);
            continue;
        }
        at = STATS_AT(reason);
        __asm__("" : "+r"(at)); // else the compiler computes it anew for each use
        const struct exit_row *row = (const void *)((const char *)exit_table + at);
        if (__builtin_expect(row->needs == FACT_INSTRUCTION, true)) {
            fetch_instruction(&v->guest);
        } else if (row->needs == (FACT_INSTRUCTION | FACT_QUALIFICATION)) { // ports
            fetch_instruction(&v->guest);
            vmread_into(&exit.qualification, VMCS_EXIT_QUALIFICATION);
        } else {
            if ((end = handle_other(v, &exit)) != RUN_CONTINUE)
                break;
            continue;
        }
        verdict_t verdict = row->handler(&v->guest, &exit);
        if (verdict_is_next(verdict))
            step_over_instruction(&v->guest);
        else if ((end = apply(v, &exit, verdict)) != RUN_CONTINUE)
            break;
    }
out:
    leave(v, at, &exit);
    return end;
}
