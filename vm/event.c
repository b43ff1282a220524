// Which event the next VM entry injects, and what becomes of one whose delivery was interrupted.
// Called by the run loop: event_take_interrupted() before a handler, event_raise() for its fault,
// event_choose() before an entry. SDM: "Priority Among Concurrent Events", "Event Injection".
#include "vm/vm.h"

#define MAKE_INFO(type, vector) (EVENT_VALID | (uint32_t)(type) << 8 | (vector))

static enum event_type type_of(struct event event)
{
    return (enum event_type)FIELD_GET(EVENT_TYPE, event.info);
}

// Events that push the RIP behind an instruction: the entry needs its length.
static bool is_software(enum event_type type)
{
    return type == EVENT_SOFTWARE_INTERRUPT || type == EVENT_PRIVILEGED_EXCEPTION ||
           type == EVENT_SOFTWARE_EXCEPTION;
}

// ---- interrupted and raised ----

void event_take_interrupted(struct vcpu *vcpu, const struct exit *exit)
{
    if (!(exit->idt_info & EVENT_VALID))
        return;
    struct event event = {.info = exit->idt_info &
                                  (EVENT_VALID | EVENT_HAS_ERROR | EVENT_TYPE | EVENT_VECTOR)};
    if (event.info & EVENT_HAS_ERROR)
        event.error = exit->idt_error;
    if (is_software(type_of(event)))
        event.length = exit->instruction_length;
    if (type_of(event) == EVENT_NMI)
        vcpu->events.nmi_returned = true;
    vcpu->events.pending = event;
    vcpu_note(vcpu, REQUEST_EVENT); // whatever the handler decides
}

enum exception_class { CLASS_BENIGN, CLASS_CONTRIBUTORY, CLASS_PAGE_FAULT, CLASS_DOUBLE_FAULT };

#define CONTRIBUTORY                                                                               \
    (BIT32(VECTOR_DE) | BIT32(VECTOR_TS) | BIT32(VECTOR_NP) | BIT32(VECTOR_SS) |                   \
     BIT32(VECTOR_GP) | BIT32(VECTOR_CP))

// SDM: "Interrupt and Exception Classes".
static enum exception_class class_of(uint8_t vector)
{
    if (vector == VECTOR_DF)
        return CLASS_DOUBLE_FAULT;
    if (vector == VECTOR_PF || vector == VECTOR_VE)
        return CLASS_PAGE_FAULT;
    return CONTRIBUTORY & BIT32(vector & 31) ? CLASS_CONTRIBUTORY : CLASS_BENIGN;
}

// SDM: "Conditions for Generating a Double Fault". `first` is what was being delivered.
enum merge { MERGE_SERIAL, MERGE_DOUBLE_FAULT, MERGE_TRIPLE_FAULT };

static enum merge merge(enum exception_class first, enum exception_class second)
{
    if (first == CLASS_BENIGN || second == CLASS_BENIGN)
        return MERGE_SERIAL;
    if (first == CLASS_DOUBLE_FAULT)
        return MERGE_TRIPLE_FAULT;
    if (first == CLASS_CONTRIBUTORY && second == CLASS_PAGE_FAULT)
        return MERGE_SERIAL;
    return second == CLASS_DOUBLE_FAULT ? MERGE_SERIAL : MERGE_DOUBLE_FAULT;
}

// An interrupt or NMI that an exception overtakes is not lost: it follows the exception.
static void put_back(struct vcpu *vcpu, struct event event)
{
    if (type_of(event) == EVENT_EXTERNAL) {
        vcpu->events.interrupt_held = true;
        vcpu->events.held_vector = (uint8_t)(event.info & EVENT_VECTOR);
    } else if (type_of(event) == EVENT_NMI && vcpu->events.nmi_queued < 2) {
        vcpu->events.nmi_queued++;
    }
}

// Handlers of faults find RF set in the flags that were pushed. SDM: "Debug Exceptions",
// instruction-breakpoint exception condition; traps, aborts and #DB are not among them.
#define FAULTS                                                                                     \
    (CONTRIBUTORY | BIT32(VECTOR_BR) | BIT32(VECTOR_UD) | BIT32(VECTOR_NM) | BIT32(VECTOR_PF) |    \
     BIT32(VECTOR_MF) | BIT32(VECTOR_AC) | BIT32(VECTOR_XM) | BIT32(VECTOR_VE))

bool event_raise(struct vcpu *vcpu, uint8_t vector, bool has_error, uint32_t error)
{
    struct event *pending = &vcpu->events.pending;
    if (pending->info) {
        enum exception_class first = type_of(*pending) == EVENT_EXCEPTION
                                         ? class_of((uint8_t)(pending->info & EVENT_VECTOR))
                                         : CLASS_BENIGN;
        switch (merge(first, class_of(vector))) {
        case MERGE_SERIAL:
            put_back(vcpu, *pending);
            break;
        case MERGE_DOUBLE_FAULT:
            vector = VECTOR_DF;
            has_error = true;
            error = 0;
            break;
        case MERGE_TRIPLE_FAULT:
            return false;
        }
    }
    if (FAULTS & BIT32(vector & 31)) {
        vcpu->rflags |= RFLAGS_RF;
        vcpu->dirty |= STATE_FLOW;
    }
    *pending = (struct event){.info = MAKE_INFO(EVENT_EXCEPTION, vector)};
    if (has_error) {
        pending->info |= EVENT_HAS_ERROR;
        pending->error = error;
    }
    return true;
}

// ---- NMIs ----

static inline bool interrupts_open(const struct vcpu *vcpu)
{
    return (vcpu->rflags & RFLAGS_IF) && !vcpu_trap_waits(vcpu) &&
           !(vcpu->interruptibility & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS | BLOCKING_BY_TRAP));
}

static bool nmis_blocked(const struct vcpu *vcpu)
{
    return vcpu->events.has_virtual_nmi ? (vcpu->interruptibility & BLOCKING_BY_NMI) != 0
                                        : vcpu->events.nmi_blocked;
}

void event_queue_nmi(struct vcpu *vcpu)
{
    bool is_taken = nmis_blocked(vcpu) || type_of(vcpu->events.pending) == EVENT_NMI;
    if (vcpu->events.nmi_queued < (is_taken ? 1 : 2))
        vcpu->events.nmi_queued++;
}

// The CPU counts an NMI as taken from when its delivery began; if that was interrupted, it is not.
static void unblock_returned_nmi(struct vcpu *vcpu)
{
    vcpu->events.nmi_returned = false;
    vcpu->events.nmi_blocked = false;
    vcpu->interruptibility &= ~BLOCKING_BY_NMI;
    vcpu->dirty |= STATE_FLOW;
}

static bool take_nmi(struct vcpu *vcpu, struct entry_plan *plan)
{
    if (vcpu->events.nmi_queued == 0 || nmis_blocked(vcpu) ||
        (vcpu->interruptibility & (BLOCKING_BY_MOV_SS | BLOCKING_BY_TRAP)) || vcpu_trap_waits(vcpu))
        return false;
    vcpu->events.nmi_queued--;
    plan->inject.info = MAKE_INFO(EVENT_NMI, VECTOR_NMI);
    vcpu_end_shadow(vcpu); // of STI: some CPUs refuse the entry with it
    return true;
}

// ---- interrupts ----

static bool interrupt_waits(struct vcpu *vcpu)
{
    return vcpu->events.interrupt_held || lapic_extint_pending(vcpu) ||
           (vcpu->lapic.delegate != DELEGATE_CPU && lapic_pending(vcpu) >= 0);
}

static void take_interrupt(struct vcpu *vcpu, struct entry_plan *plan)
{
    struct events *events = &vcpu->events;
    if (events->interrupt_held) {
        events->interrupt_held = false;
        plan->inject.info = MAKE_INFO(EVENT_EXTERNAL, events->held_vector);
    } else if (lapic_extint_pending(vcpu)) {
        plan->inject.info = MAKE_INFO(EVENT_EXTERNAL, lapic_extint_acknowledge(vcpu));
    } else if (vcpu->lapic.delegate != DELEGATE_CPU) {
        int vector = lapic_take(vcpu);
        if (vector >= 0)
            plan->inject.info = MAKE_INFO(EVENT_EXTERNAL, (uint32_t)vector);
        return; // nothing else that waits has a higher priority now
    }
    plan->interrupt_window = interrupt_waits(vcpu);
}

// ---- the choice ----

// Delivery ends the shadow of STI and MOV SS, and entries are refused for one without the single
// step that it holds back. What MOV SS holds back comes behind INT n and INT1, whose interrupted
// delivery goes on. SDM: "Pending Debug Exceptions" of VM entry.
static void take_pending(struct vcpu *vcpu, struct entry_plan *plan)
{
    plan->inject = vcpu->events.pending;
    vcpu->events.pending = (struct event){0};
    enum event_type type = type_of(plan->inject);
    if (!(vcpu->interruptibility & BLOCKING_BY_MOV_SS) ||
        (type != EVENT_SOFTWARE_INTERRUPT && type != EVENT_PRIVILEGED_EXCEPTION))
        vcpu_end_shadow(vcpu);
    if ((plan->inject.info & EVENT_HAS_ERROR) && !(vcpu->cr0 & CR0_PE)) {
        plan->inject.info &= ~EVENT_HAS_ERROR; // real mode pushes none
        plan->inject.error = 0;
    }
}

// With virtual NMIs the CPU tells when an NMI can be taken; without, an open interrupt window is
// the sign that the last NMI's handler has ended.
static void plan_nmi_window(struct vcpu *vcpu, struct entry_plan *plan)
{
    if (vcpu->events.nmi_queued == 0)
        return;
    if (vcpu->events.has_virtual_nmi)
        plan->nmi_window = true;
    else
        plan->interrupt_window = true;
}

// Events of all kinds, in the order of their priorities.
__attribute__((noinline)) static void choose_among_all(struct vcpu *vcpu)
{
    struct events *events = &vcpu->events;
    struct entry_plan *plan = &events->plan;
    *plan = (struct entry_plan){0};

    if (events->nmi_returned)
        unblock_returned_nmi(vcpu);
    if (events->nmi_blocked && interrupts_open(vcpu))
        events->nmi_blocked = false;

    if (events->pending.info) {
        take_pending(vcpu, plan);
        plan->interrupt_window = interrupt_waits(vcpu);
    } else if (take_nmi(vcpu, plan)) {
        plan->interrupt_window = interrupt_waits(vcpu);
    } else if (interrupts_open(vcpu)) {
        take_interrupt(vcpu, plan);
    } else {
        plan->interrupt_window = interrupt_waits(vcpu);
    }

    if (type_of(plan->inject) == EVENT_NMI && !events->has_virtual_nmi)
        events->nmi_blocked = true;
    plan_nmi_window(vcpu, plan);
}

// Nearly always there is at most an interrupt of the local APIC's.
static inline bool is_simple(const struct vcpu *vcpu)
{
    const struct events *events = &vcpu->events;
    return !(events->pending.info | events->nmi_queued | events->nmi_returned |
             events->nmi_blocked | events->interrupt_held) &&
           !lapic_extint_pending(vcpu);
}

static inline struct entry_plan *plan_nothing(struct vcpu *vcpu)
{
    struct entry_plan *plan = &vcpu->events.plan;
    *plan = (struct entry_plan){0};
    return plan;
}

void event_choose_other(struct vcpu *vcpu)
{
    if (is_simple(vcpu))
        plan_nothing(vcpu);
    else
        choose_among_all(vcpu);
}

void event_choose(struct vcpu *vcpu)
{
    if (!is_simple(vcpu)) {
        choose_among_all(vcpu);
        return;
    }
    struct entry_plan *plan = plan_nothing(vcpu);
    if (!interrupts_open(vcpu)) {
        plan->interrupt_window = lapic_pending(vcpu) >= 0;
        return;
    }
    int vector = lapic_take(vcpu);
    if (vector >= 0)
        plan->inject.info = MAKE_INFO(EVENT_EXTERNAL, (uint32_t)vector);
}

bool event_wakes(struct vcpu *vcpu)
{
    if (vcpu->activity != ACTIVITY_HALTED)
        return false;
    if (vcpu->events.pending.info || vcpu->unhalted)
        return true;
    if (!vcpu->events.has_virtual_nmi) // HLT, too, is a sign that the last NMI's handler has ended
        vcpu->events.nmi_blocked = false;
    if (vcpu->events.nmi_queued && (vcpu->events.nmi_returned || !nmis_blocked(vcpu)))
        return true;
    lapic_take_back(vcpu);
    // STI's shadow ends with the HLT itself.
    return (vcpu->rflags & RFLAGS_IF) && interrupt_waits(vcpu);
}

void event_wait(struct vcpu *vcpu)
{
    uint32_t callers = REQUEST_SCHEDULE | REQUEST_TIMER | REQUEST_SIGNAL;
    if (vcpu->activity == ACTIVITY_HALTED)
        callers |= REQUEST_UNHALT | REQUEST_MACHINE_CHECK |
                   (vcpu->rflags & RFLAGS_IF ? (uint32_t)REQUEST_EVENT : 0);
    vcpu->callers = callers;
}
