// Events on their way into a guest: what was interrupted and must be delivered again, exceptions
// raised by emulation, NMIs, and interrupts from the local APIC; and which of them the next VM
// entry injects. SDM: "VM Entry: Event Injection", "Information for VM Exits During Event
// Delivery", "Double Fault Exception".
#pragma once

#include "vm/exit.h"

struct vcpu;

// In the format of the VM-entry interruption-information field.
#define EVENT_VALID      BIT32(31)
#define EVENT_HAS_ERROR  BIT32(11)
#define EVENT_TYPE       UINT32_C(0x700)
#define EVENT_VECTOR     UINT32_C(0xff)
#define EVENT_UNBLOCKING BIT32(12) // exit information only: NMI unblocking due to IRET

enum event_type {
    EVENT_EXTERNAL = 0,
    EVENT_NMI = 2,
    EVENT_EXCEPTION = 3,            // hardware exception
    EVENT_SOFTWARE_INTERRUPT = 4,   // INT n
    EVENT_PRIVILEGED_EXCEPTION = 5, // INT1 (ICEBP)
    EVENT_SOFTWARE_EXCEPTION = 6,   // INT3, INTO
    EVENT_OTHER = 7,                // pending MTF
};

struct event {
    uint32_t info; // zero: no event
    uint32_t error;
    uint32_t length; // of the instruction, for the software types
};

// What the next VM entry must do.
struct entry_plan {
    struct event inject; // info 0: nothing
    bool interrupt_window;
    bool nmi_window;
};

struct events {
    struct event pending;   // must go in at the next entry: an interrupted delivery or an exception
    struct entry_plan plan; // `inject` until it is known to be delivered
    uint8_t nmi_queued;     // 0 to 2: one to be taken, one latched behind it
    bool nmi_returned;      // an NMI's delivery was interrupted: it does not block NMIs yet
    bool nmi_blocked;       // software's own idea, used where the CPU has no virtual NMIs
    bool has_virtual_nmi;   // the CPU has them; set once, before the first entry
    bool interrupt_held;    // an acknowledged interrupt that an exception overtook
    uint8_t held_vector;
};

// Interruptibility-state bits. SDM: "Guest Non-Register State".
#define BLOCKING_BY_STI    BIT32(0)
#define BLOCKING_BY_MOV_SS BIT32(1)
#define BLOCKING_BY_SMI    BIT32(2)
#define BLOCKING_BY_NMI    BIT32(3)
// Software's own, never in the VMCS: what this exit emulated is followed by a debug trap.
#define BLOCKING_BY_TRAP BIT32(7)

// Takes up an event whose delivery the exit interrupted (exit->idt_info valid), to be delivered
// again. Needs FACT_IDT and, for the software types, the instruction length. Call it before the
// handler runs.
void event_take_interrupted(struct vcpu *vcpu, const struct exit *exit);

// Raises an exception in the guest, merged with one that is being delivered by the double-fault
// table: a benign pair keeps the new one, contributory pairs become #DF. An interrupted external
// interrupt or NMI goes back to its queue. False: the merge is a triple fault, and the VM must take
// its shutdown. Needs STATE_FLOW: a fault sets RFLAGS.RF.
MUST_CHECK bool event_raise(struct vcpu *vcpu, uint8_t vector, bool has_error, uint32_t error);

// Chooses, in the order of the SDM's priorities, and commits the choice (an interrupt is
// acknowledged at the local APIC, an NMI leaves its queue): events.plan. Needs event_needs().
void event_choose(struct vcpu *vcpu);

// The same for a vCPU whose interrupts the CPU itself delivers from the local APIC
// (lapic_hand_over()): chooses among all other events.
void event_choose_other(struct vcpu *vcpu);

// What became of the last plan, before requests are served. The guest has run: it was delivered, or
// comes back by event_take_interrupted(). Or the entry was called off, because a request came
// first: what was planned goes in before anything else, and true: the VM-entry interruption
// information must be cleared, and event_choose() is due.
MUST_CHECK static inline bool event_settle(struct events *events, bool called_off)
{
    bool withdrawn = called_off && events->plan.inject.info;
    if (withdrawn)
        events->pending = events->plan.inject;
    events->plan.inject.info = 0;
    return withdrawn;
}

// The groups of guest state that event_choose() needs: an error code is pushed in protected mode
// only.
static inline uint32_t event_needs(const struct events *events)
{
    return STATE_FLOW | (events->pending.info & EVENT_HAS_ERROR ? STATE_CONTROL : 0);
}

// Queues an NMI: one may wait behind the one that is being taken, or whose handler runs. Needs
// STATE_FLOW.
void event_queue_nmi(struct vcpu *vcpu);

// Whether the vCPU is halted and has something that wakes it: an exception, an NMI, a kick or an
// interrupt that is not masked. Requests must have been taken: those that come now end its wait
// anyway. Needs STATE_FLOW.
bool event_wakes(struct vcpu *vcpu);

// It begins to wait: notes which requests may end that, for vcpu_is_called(). Needs STATE_FLOW if
// it is halted.
void event_wait(struct vcpu *vcpu);
