// Task switches: the CPU never makes one itself in VMX operation. CALL, JMP and IRET to a task, and
// task gates, are carried out here in full, for 16-bit and 32-bit tasks. Called through
// exit_table[]; loading the new task's segments is in task_segments.c. SDM: "Task Switching", "Exit
// Qualification for Task Switches", "Treatment of Task Switches".

#include "exits/task_segments.h"

#include "exits/handlers.h"
#include "lib/string.h"
#include "vm/cpu/cr.h"

#define SWITCH_SELECTOR UINT64_C(0xffff)
#define SWITCH_SOURCE   BITS(31, 30)

enum switch_source { SWITCH_CALL, SWITCH_IRET, SWITCH_JMP, SWITCH_GATE };

#define DR7_LOCAL_ENABLES (BIT(0) | BIT(2) | BIT(4) | BIT(6) | BIT(8))
#define DR6_BT            BIT(15)

// The two formats of a task-state segment: where the fields lie. General registers are in the order
// of enum gpr, selectors in that of enum segment_register. A switch away writes what lies between
// the instruction pointer and the LDT.
struct tss_format {
    uint8_t size;  // bytes that must be there
    uint8_t width; // of each field
    uint8_t cr3;   // 0: none
    uint8_t ip, flags, gprs, selectors, selector_count, ldt;
};

static const struct tss_format tss_formats[] = {
    {0x2c, 2, 0, 0x0e, 0x10, 0x12, 0x22, 4, 0x2a},
    {0x68, 4, 0x1c, 0x20, 0x24, 0x28, 0x48, 6, 0x60},
};

#define TYPE_TSS32     8 // the bit in which a 32-bit TSS's type differs
#define TSS_MOST       0x68
#define RACES          16   // lost against another vCPU that changes the paging structures
#define ERROR_EXTERNAL 1    // of an error code with a selector
#define TSS32_TRAP     0x64 // bit 0: #DB when the task begins

// One switch. Everything that it writes is translated before anything is written.
struct task_switch {
    struct vcpu *vcpu;
    uint64_t now;
    enum switch_source source;
    uint16_t selector; // of the new task
    struct descriptor descriptor;
    struct segment task;
    const struct tss_format *from;
    const struct tss_format *to;
    uint8_t old[TSS_MOST];
    uint8_t new[TSS_MOST];
    uint64_t pdpte[4];
    struct linear_span old_span;
    struct linear_span link_span;
    struct linear_span old_type_span;
    struct linear_span new_type_span;
};

static bool is_nested(const struct task_switch *t)
{
    return t->source == SWITCH_CALL || t->source == SWITCH_GATE;
}

static uint32_t field(const uint8_t *tss, unsigned at, unsigned width)
{
    uint32_t value = 0;
    memcpy(&value, tss + at, width);
    return value;
}

static void set_field(uint8_t *tss, unsigned at, unsigned width, uint64_t value)
{
    memcpy(tss + at, &value, width);
}

static const struct tss_format *format_of(uint32_t access)
{
    return &tss_formats[(access & TYPE_TSS32) != 0];
}

// The new task's descriptor. An IRET must find a busy one, all others an available one.
static bool check_target(struct task_switch *t, verdict_t *fault)
{
    uint32_t error = SELECTOR_ERROR(t->selector);
    bool is_iret = t->source == SWITCH_IRET;
    enum exception wrong = is_iret ? VECTOR_TS : VECTOR_GP;

    if ((t->selector & SELECTOR_LOCAL) || error == 0)
        return fail_with(fault, fault_code(wrong, error));
    if (!descriptor_read(t->vcpu, t->selector, false, wrong, t->now, &t->descriptor, fault))
        return false;
    uint32_t access = descriptor_access(&t->descriptor);
    uint32_t type = access & (AR_TYPE | AR_CODE_DATA);
    uint32_t busy = is_iret ? TYPE_TSS_BUSY : 0;
    if (type != (TYPE_TSS16_AVAILABLE | busy) && type != (TYPE_TSS32_AVAILABLE | busy))
        *fault = fault_code(wrong, error);
    else if (!(access & AR_PRESENT))
        *fault = fault_code(VECTOR_NP, error);
    else {
        t->task = descriptor_segment(t->selector, &t->descriptor);
        t->to = format_of(access);
        if (t->task.limit >= t->to->size - 1U)
            return true;
        *fault = fault_code(VECTOR_TS, error);
    }
    return false;
}

static bool prepare(struct task_switch *t, uint64_t at, unsigned size, struct linear_span *span,
                    verdict_t *fault)
{
    return linear_prepare(t->vcpu, gva(at & UINT32_MAX), size, WALK_WRITE | WALK_IMPLICIT, span,
                          fault);
}

// Translates all that the switch will write, and reads the new task.
static bool prepare_memory(struct task_switch *t, verdict_t *fault)
{
    struct vcpu *vcpu = t->vcpu;
    uint64_t old = vcpu->segment[TR].base;
    uint64_t old_descriptor = vcpu->gdtr.base + (vcpu->segment[TR].selector & SELECTOR_INDEX);

    t->from = format_of(vcpu->segment[TR].access);
    if (vcpu->segment[TR].limit < t->from->size - 1U)
        return fail_with(fault, fault_code(VECTOR_TS, SELECTOR_ERROR(vcpu->segment[TR].selector)));
    return prepare(t, old + t->from->ip, t->from->ldt - t->from->ip, &t->old_span, fault) &&
           prepare(t, t->task.base, 2, &t->link_span, fault) &&
           prepare(t, old_descriptor + 5, 1, &t->old_type_span, fault) &&
           prepare(t, t->descriptor.at.value + 5, 1, &t->new_type_span, fault) &&
           linear_read(vcpu, gva(t->task.base & UINT32_MAX), t->new, t->to->size, false, t->now,
                       fault);
}

// CR3 comes with a 32-bit task, if paging is on; under PAE paging its PDPTEs must be right.
static bool loads_cr3(const struct task_switch *t)
{
    return t->to->cr3 && (t->vcpu->cr0 & CR0_PG);
}

static bool check_cr3(struct task_switch *t, verdict_t *fault)
{
    struct vcpu *vcpu = t->vcpu;
    if (!loads_cr3(t) || !cr_pae_paging(vcpu->cr0, vcpu->cr4, vcpu->efer) ||
        cr_read_pdptes(vcpu->vm, field(t->new, t->to->cr3, 4), t->pdpte))
        return true;
    return fail_with(fault, fault_gp(0));
}

static bool mark_all(struct task_switch *t, verdict_t *fault)
{
    return linear_mark(t->vcpu, &t->old_span, fault) &&
           linear_mark(t->vcpu, &t->link_span, fault) &&
           linear_mark(t->vcpu, &t->old_type_span, fault) &&
           linear_mark(t->vcpu, &t->new_type_span, fault);
}

static void change_type(struct task_switch *t, const struct linear_span *span, bool is_busy)
{
    uint8_t byte;
    linear_load(t->vcpu, span, &byte, t->now);
    byte = (uint8_t)((byte & ~TYPE_TSS_BUSY) | (is_busy ? TYPE_TSS_BUSY : 0));
    linear_store(t->vcpu, span, &byte, t->now);
}

// The old task's state goes to its TSS; the descriptors' busy bits and the link follow the kind of
// switch.
static void leave(struct task_switch *t, uint64_t rip)
{
    struct vcpu *vcpu = t->vcpu;
    const struct tss_format *f = t->from;
    uint64_t flags = vcpu->rflags;
    if (t->source == SWITCH_IRET)
        flags &= ~RFLAGS_NT;
    set_field(t->old, f->ip, f->width, rip);
    set_field(t->old, f->flags, f->width, flags);
    for (unsigned i = 0; i < 8; i++)
        set_field(t->old, f->gprs + i * f->width, f->width, vcpu->gpr[i]);
    for (unsigned i = 0; i < f->selector_count; i++)
        set_field(t->old, f->selectors + i * f->width, f->width, vcpu->segment[i].selector);
    linear_store(vcpu, &t->old_span, t->old + f->ip, t->now);

    if (is_nested(t))
        linear_store(vcpu, &t->link_span, &vcpu->segment[TR].selector, t->now);
    else
        change_type(t, &t->old_type_span, false);
    change_type(t, &t->new_type_span, true);
}

// From here on the new task runs: what fails fails in it.
static void enter(struct task_switch *t)
{
    struct vcpu *vcpu = t->vcpu;
    const struct tss_format *f = t->to;
    vcpu->segment[TR] = t->task;
    vcpu->segment[TR].access |= TYPE_TSS_BUSY;
    vcpu->cr0 |= CR0_TS;
    vcpu->dr7 &= ~DR7_LOCAL_ENABLES;
    if (loads_cr3(t)) {
        vcpu->cr3 = field(t->new, f->cr3, 4);
        if (cr_pae_paging(vcpu->cr0, vcpu->cr4, vcpu->efer))
            memcpy(vcpu->pdpte, t->pdpte, sizeof(vcpu->pdpte));
        vcpu_note(vcpu, REQUEST_FLUSH_TLB);
    }
    vcpu->rip = field(t->new, f->ip, f->width);
    vcpu->rflags = (field(t->new, f->flags, f->width) & TASK_FLAGS) | RFLAGS_FIXED |
                   (is_nested(t) ? RFLAGS_NT : 0);
    for (unsigned i = 0; i < 8; i++)
        vcpu->gpr[i] = field(t->new, f->gprs + i * f->width, f->width);
    vcpu_end_shadow(vcpu);
    if (t->source == SWITCH_IRET) {
        vcpu->interruptibility &= ~BLOCKING_BY_NMI;
        vcpu->events.nmi_blocked = false;
    }
    vcpu->pending_debug = 0;
    vcpu->dirty |= STATE_FLOW | STATE_STACK | STATE_CONTROL | STATE_SEGMENTS | STATE_DEBUG |
                   (vcpu->fetched & STATE_SYSTEM);
}

static struct task_selectors selectors_of(const struct task_switch *t)
{
    const struct tss_format *f = t->to;
    struct task_selectors selectors = {.ldt = (uint16_t)field(t->new, f->ldt, 2)};
    for (unsigned i = 0; i < f->selector_count; i++)
        selectors.segment[i] = (uint16_t)field(t->new, f->selectors + i * f->width, 2);
    return selectors;
}

// The error code of the event that came through a task gate goes to the new stack.
static bool push_error(struct task_switch *t, uint32_t error, verdict_t *fault)
{
    struct vcpu *vcpu = t->vcpu;
    unsigned width = t->to->width;
    uint64_t mask = vcpu->segment[SS].access & AR_DB ? UINT32_MAX : 0xffff;
    uint64_t offset = (vcpu->gpr[RSP] - width) & mask;
    gva_t linear;
    if (!segment_linear(vcpu, SS, offset, width, true, &linear, fault) ||
        !linear_write(vcpu, linear, &error, width, vcpu->cpl == 3, t->now, fault))
        return false;
    vcpu->gpr[RSP] = (vcpu->gpr[RSP] & ~mask) | offset;
    return true;
}

// The new task's first step: its segments, the error code, and the traps that it asks for. One that
// loses all its races cannot be begun.
static verdict_t begin(struct task_switch *t, const struct event *cause)
{
    struct vcpu *vcpu = t->vcpu;
    struct task_selectors selectors = selectors_of(t);
    verdict_t refused = again(); // a race is run again here: the switch has been made
    bool is_ready = false;
    for (unsigned i = 0; !is_ready && refused.kind == VERDICT_AGAIN; i++) {
        if (i == RACES)
            return fault_code(VECTOR_TS, SELECTOR_ERROR(t->selector));
        is_ready = task_load_segments(vcpu, &selectors, t->now, &refused) &&
                   (!(cause->info & EVENT_HAS_ERROR) || push_error(t, cause->error, &refused));
    }
    if (!is_ready)
        return refused;
    if (vcpu->rip > vcpu->segment[CS].limit)
        return fault_gp(0);
    if (t->to->cr3 && (t->new[TSS32_TRAP] & 1)) {
        vcpu->dr6 |= DR6_BT;
        vcpu->dirty |= STATE_DR;
        return fault(VECTOR_DB);
    }
    vcpu_note(vcpu, REQUEST_EVENT);
    return again();
}

// What a task gate served is delivered by the switch. An exception counts until the new task can
// run: a second one before makes a double fault.
static void deliver(struct vcpu *vcpu, enum event_type type)
{
    if (type != EVENT_EXCEPTION)
        vcpu->events.pending = (struct event){0};
    if (type != EVENT_NMI)
        return;
    vcpu->events.nmi_returned = false;
    vcpu->events.nmi_blocked = !vcpu->events.has_virtual_nmi;
    vcpu->interruptibility |= BLOCKING_BY_NMI;
    vcpu->dirty |= STATE_FLOW;
}

static bool prepare_switch(struct task_switch *t, verdict_t *fault)
{
    return check_target(t, fault) && prepare_memory(t, fault) && check_cr3(t, fault) &&
           mark_all(t, fault);
}

// The switch, served an event (or none: info 0).
static verdict_t switch_task(struct task_switch *t, const struct event *cause, enum event_type type,
                             uint64_t rip)
{
    verdict_t verdict;
    if (!prepare_switch(t, &verdict))
        return verdict;
    leave(t, rip);
    enter(t);
    if (cause->info)
        deliver(t->vcpu, type);
    verdict = begin(t, cause);
    if (verdict.kind == VERDICT_AGAIN)
        t->vcpu->events.pending = (struct event){0};
    return verdict;
}

// Faults in the delivery of what the program did not ask for itself say so in their error code.
static bool is_external(enum event_type type)
{
    return type == EVENT_EXTERNAL || type == EVENT_NMI || type == EVENT_EXCEPTION ||
           type == EVENT_PRIVILEGED_EXCEPTION;
}

verdict_t exit_task_switch(struct vcpu *vcpu, const struct exit *exit)
{
    uint32_t missing = linear_missing(vcpu) | (STATE_DR & ~vcpu->fetched);
    if (missing)
        return need(missing);
    struct task_switch t = {
        .vcpu = vcpu,
        .now = exit_now(vcpu, exit),
        .source = (enum switch_source)FIELD_GET(SWITCH_SOURCE, exit->qualification),
        .selector = (uint16_t)(exit->qualification & SWITCH_SELECTOR),
    };
    struct event cause = {0};
    if (t.source == SWITCH_GATE && (exit->idt_info & EVENT_VALID))
        cause = vcpu->events.pending;
    uint32_t length = t.source == SWITCH_GATE ? cause.length : exit->instruction_length;
    enum event_type type = (enum event_type)FIELD_GET(EVENT_TYPE, cause.info);

    verdict_t verdict = switch_task(&t, &cause, type, vcpu->rip + length);
    if (verdict.kind == VERDICT_FAULT && verdict.has_error && verdict.detail != VECTOR_PF &&
        cause.info && is_external(type))
        return fault_code((enum exception)verdict.detail, verdict.value | ERROR_EXTERNAL);
    return verdict;
}
