// The local APIC of a vCPU, xAPIC and x2APIC. SDM: "Advanced Programmable Interrupt Controller
// (APIC)".
//
// Its registers lie in one page at their architectural offsets, the layout of the VMX virtual-APIC
// page: software and a CPU with APIC virtualization work on the same memory, and nothing is copied
// when one takes over from the other. A vCPU's APIC belongs to the CPU that runs the vCPU; others
// reach only the posted bits (lapic_post) and read a few registers to match destinations.
#pragma once

#include <stdatomic.h>
#include <stddef.h>

#include "lib/fields.h"

struct access;
struct vcpu;
struct vm;

// Offsets in the page; the x2APIC MSR of a register is 800H + offset / 16.
enum lapic_offset {
    LAPIC_ID = 0x020,
    LAPIC_VERSION = 0x030,
    LAPIC_TPR = 0x080,
    LAPIC_APR = 0x090,
    LAPIC_PPR = 0x0a0,
    LAPIC_EOI = 0x0b0,
    LAPIC_RRD = 0x0c0,
    LAPIC_LDR = 0x0d0,
    LAPIC_DFR = 0x0e0,
    LAPIC_SVR = 0x0f0,
    LAPIC_ISR = 0x100, // eight registers of 32 vectors each
    LAPIC_TMR = 0x180,
    LAPIC_IRR = 0x200,
    LAPIC_ESR = 0x280,
    LAPIC_LVT_CMCI = 0x2f0,
    LAPIC_ICR = 0x300, // x2APIC: 64 bits here
    LAPIC_ICR_HIGH = 0x310,
    LAPIC_LVT_TIMER = 0x320,
    LAPIC_LVT_THERMAL = 0x330,
    LAPIC_LVT_PMC = 0x340,
    LAPIC_LVT_LINT0 = 0x350,
    LAPIC_LVT_LINT1 = 0x360,
    LAPIC_LVT_ERROR = 0x370,
    LAPIC_INITIAL_COUNT = 0x380,
    LAPIC_CURRENT_COUNT = 0x390,
    LAPIC_DIVIDE = 0x3e0,
    LAPIC_SELF_IPI = 0x3f0, // x2APIC only
};

#define MSR_APIC_BASE    0x1b
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_X2APIC_FIRST 0x800
#define MSR_X2APIC_LAST  0x8ff

#define APIC_BASE_BSP     BIT(8)
#define APIC_BASE_X2APIC  BIT(10)
#define APIC_BASE_ENABLE  BIT(11)
#define APIC_BASE_DEFAULT UINT64_C(0xfee00000)

#define LAPIC_SVR_ENABLE BIT32(8)

#define LVT_VECTOR     UINT32_C(0xff)
#define LVT_MODE       UINT32_C(0x700)
#define LVT_REMOTE_IRR BIT32(14)
#define LVT_LEVEL      BIT32(15)
#define LVT_MASKED     BIT32(16)

#define LVT_TIMER_MODE   UINT32_C(0x60000)
#define LVT_TSC_DEADLINE BIT32(18) // reserved where CPUID hides it

enum delivery_mode {
    DELIVERY_FIXED = 0,
    DELIVERY_LOWEST = 1,
    DELIVERY_SMI = 2,
    DELIVERY_RESERVED = 3,
    DELIVERY_NMI = 4,
    DELIVERY_INIT = 5,
    DELIVERY_STARTUP = 6,
    DELIVERY_EXTINT = 7,
};

// Bits of the error status register.
enum lapic_error {
    LAPIC_ERROR_SEND_VECTOR = BIT32(5),    // a message with a vector below 16 was to be sent
    LAPIC_ERROR_RECEIVE_VECTOR = BIT32(6), // one arrived, or came from the local vector table
    LAPIC_ERROR_REGISTER = BIT32(7),       // a reserved register was touched (xAPIC)
};

#define LAPIC_VERSION_VALUE 0x00060014 // seven LVT entries, no EOI-broadcast suppression
#define LAPIC_GROUPS        8          // words of 32 vectors in ISR, TMR and IRR

// The posted-interrupt descriptor. SDM: "Posted-Interrupt Processing".
struct lapic_posted {
    _Atomic uint32_t request[LAPIC_GROUPS]; // edge-triggered interrupts on their way into the IRR
    _Atomic uint32_t control;
    uint32_t reserved[7];
};

#define POSTED_OUTSTANDING BIT32(0) // ON: the notification is on its way

struct lapic_page {
    uint32_t word[1008];
    // beyond the registers: here it is aligned and reachable for the CPU
    struct lapic_posted posted;
};
_Static_assert(sizeof(struct lapic_page) == 4096, "hardware sees this page");
_Static_assert(offsetof(struct lapic_page, posted) % 64 == 0, "hardware sees the descriptor");

// Who else, beside the loop that runs the vCPU, may end an interrupt in service at the moment.
enum lapic_delegate {
    DELEGATE_NONE,
    DELEGATE_GUEST, // in its memory, the highest one; then nothing is in the IRR
    DELEGATE_CPU, // it delivers from the IRR as well: the summaries below know only what was added
};

// Registers whose old values matter when the guest writes them.
enum lapic_kept { KEPT_ID, KEPT_TIMER, KEPT_COUNT, KEPT_DIVIDE, KEPT_REGISTERS };

struct lapic {
    // given by whoever creates the vCPU: 4 KiB-aligned, reachable for its whole life
    struct lapic_page *page;
    uint64_t base; // IA32_APIC_BASE

    // For the CPU that runs the vCPU alone.
    uint32_t irr_groups;   // bit n: word n of the IRR is not zero
    uint32_t isr_groups;   // likewise of the ISR
    int32_t in_service;    // the highest vector of the ISR, or -1
    uint8_t delegate;      // enum lapic_delegate
    bool read_by_cpu;      // it answers the guest's reads of the ISR out of the page
    uint32_t errors;       // ESR bits gathered since the guest last wrote the ESR
    uint64_t deadline;     // of the timer in VM time, or NEVER: changes come with REQUEST_TIMER
    uint64_t tsc_deadline; // guest TSC in TSC-deadline mode; 0: disarmed
    uint32_t kept[KEPT_REGISTERS]; // as software last wrote them

    // Written by any CPU: interrupts on their way into the IRR, with page->posted.
    _Atomic uint32_t posted_groups; // bit n: request[n] or posted_level[n] may have bits
    _Atomic uint32_t posted_level[LAPIC_GROUPS]; // level-triggered ones
    _Atomic uint32_t posted_extint;              // an I/O APIC asked it to acknowledge the 8259
    _Atomic uint32_t lint0_serves; // the vector that LINT0's level has raised and no EOI has ended
    _Atomic bool posts_notify;     // its CPU takes page->posted by itself when it is notified
};

static inline uint32_t lapic_get(const struct lapic *lapic, unsigned offset)
{
    return __atomic_load_n(&lapic->page->word[offset / 4], __ATOMIC_RELAXED);
}

static inline void lapic_set(struct lapic *lapic, unsigned offset, uint32_t value)
{
    __atomic_store_n(&lapic->page->word[offset / 4], value, __ATOMIC_RELAXED);
}

// ---- state (vm/apic/lapic_state.c) ----

extern const struct field lapic_fields[];

// Gives the vCPU its register page and the state after power-on. vcpu->id and apic_id must be set.
void lapic_init(struct vcpu *vcpu, struct lapic_page *page);

// The state after power-on or INIT; INIT keeps IA32_APIC_BASE and with it the mode.
void lapic_reset(struct vcpu *vcpu, bool is_init);

// What firmware leaves on the bootstrap processor: software-enabled, 8259 through LINT0 (virtual
// wire), NMI through LINT1. For guests that are started without firmware.
void lapic_virtual_wire(struct vcpu *vcpu);

// What is on its way arrives: afterwards the fields hold all of it. Only the CPU that runs the
// vCPU, or whoever holds it.
void lapic_arrive(struct vcpu *vcpu);

// Another state was loaded, each field in its range: registers hold only what they can, and what
// follows from them is made anew.
void lapic_loaded(struct vcpu *vcpu);

// ---- the guest's accesses (vm/apic/lapic.c); `now` is VM time ----

// Whether the address lies in this vCPU's xAPIC page. False in x2APIC mode and while the APIC is
// disabled.
bool lapic_mmio_claims(const struct vcpu *vcpu, uint64_t gpa);

// One access to that page; access->offset is the absolute address.
void lapic_mmio_access(struct vcpu *vcpu, struct access *access);

// IA32_APIC_BASE, IA32_TSC_DEADLINE and MSRs 800H to 8FFH. False: #GP(0), nothing changed.
MUST_CHECK bool lapic_read_msr(struct vcpu *vcpu, uint32_t index, uint64_t *value, uint64_t now);
MUST_CHECK bool lapic_write_msr(struct vcpu *vcpu, uint32_t index, uint64_t value, uint64_t now);

// The processor-priority register: what an interrupt's class must exceed.
uint8_t lapic_ppr(const struct vcpu *vcpu);

// The task-priority register, whose bits 7:4 are CR8.
uint8_t lapic_tpr(const struct vcpu *vcpu);
void lapic_set_tpr(struct vcpu *vcpu, uint8_t tpr);

// ---- interrupts (vm/apic/lapic_interrupt.c) ----

// Makes a vector of 0 to 255 pending. Any CPU may call it; vectors below 16 are counted as errors
// on arrival.
void lapic_post(struct vcpu *target, uint8_t vector, bool level);

// Makes a vector pending at once, edge-triggered. Only the CPU that runs the vCPU may call it.
void lapic_raise(struct vcpu *vcpu, uint8_t vector);

// Takes posted interrupts into the IRR, and their trigger modes into the TMR. Returns the APIC.
struct lapic *lapic_take_posted(struct vcpu *vcpu);

// The highest vector whose priority is above the processor's, or -1. Takes posted interrupts into
// the IRR first.
int lapic_pending(struct vcpu *vcpu);

// The same, and the processor accepts it: it moves from the IRR to the ISR.
int lapic_take(struct vcpu *vcpu);

void lapic_eoi(struct vcpu *vcpu);

// KVM's paravirtual EOI. While bit 0 of a byte of its memory is set, the guest may clear that bit
// instead of writing the EOI register, which needs no exit. A write to the MSR: the address of four
// aligned bytes, and bit 0 to enable it. False: the address is not RAM, or a reserved bit is set.
MUST_CHECK bool lapic_set_eoi_flag(struct vcpu *vcpu, uint64_t value);

// Before anybody looks at what is in service: ends the interrupt that the guest has ended in its
// memory, or takes the offer back; or takes IRR and ISR back from the CPU. Only the CPU that runs
// the vCPU.
void lapic_settle(struct vcpu *vcpu);

// Takes the offer back and forgets what the guest has answered: the interrupt is gone anyway.
void lapic_withdraw_eoi(struct vcpu *vcpu);

// For the TPR threshold of the VMX TPR shadow, 0 to 15: the priority class below which the guest's
// TPR must fall for the highest pending vector to become deliverable; 0 if no drop of the TPR would
// free one.
uint8_t lapic_tpr_threshold(struct vcpu *vcpu);

// Whether no interrupt is on its way: neither posted nor in the IRR.
static inline bool lapic_is_empty(const struct lapic *lapic)
{
    return !(lapic->irr_groups | atomic_load_explicit(&lapic->posted_groups, memory_order_relaxed));
}

// Whether the 8259 pair has an interrupt for this vCPU: through LINT0 or an I/O APIC's ExtINT pin.
// And its vector, by the acknowledge cycle.
bool lapic_extint_pending(const struct vcpu *vcpu);
uint8_t lapic_extint_acknowledge(struct vcpu *vcpu);

// The 8259's INTR rose: local APICs whose LINT0 is fixed, NMI or INIT deliver that. Any CPU may
// call it.
void lapic_lint0_rise(struct vm *vm);

// LINT0's entry has changed, or its level-triggered interrupt has ended: takes INTR's level if it
// is high, and shows the remote IRR. Only the CPU that runs the vCPU.
void lapic_lint0_look(struct vcpu *vcpu);

// Notes ESR bits and raises the error interrupt. Only the CPU that runs the vCPU.
void lapic_error(struct vcpu *vcpu, enum lapic_error error);

// ---- the page in the hands of the CPU (vm/apic/lapic_virtual.c): APIC virtualization ----

// Hands IRR and ISR to the CPU for the next entry, with what was posted. `*status` is the guest
// interrupt status (RVI, and SVI in bits 15:8) as the CPU left it, and becomes what it must be.
// Returns the words of the TMR, one bit each, that may have changed. Until lapic_settle() nothing
// is pending here.
uint32_t lapic_hand_over(struct vcpu *vcpu, uint32_t *status);

// Takes them back, if they were handed over: what the CPU has delivered and ended shows in the
// page.
bool lapic_take_back(struct vcpu *vcpu);

// The CPU has written the register at `offset` of the page for the guest: what goes with that.
void lapic_written(struct vcpu *vcpu, unsigned offset, uint64_t now);

// The CPU has ended this vector for the guest: the I/O APIC is told if it is level-triggered.
void lapic_ended(struct vcpu *vcpu, uint8_t vector);

// Whether the x2APIC MSR 800H + `number` may be read in the page without an exit. `delivers`: the
// CPU keeps ISR and PPR there.
bool lapic_may_read_page(unsigned number, bool delivers);

// ---- the timer (vm/apic/lapic_timer.c): 1 GHz of VM time before the divider ----

// What is due at lapic->deadline, which may have changed afterwards.
void lapic_tick(struct vcpu *vcpu, uint64_t now);

// To be called after tsc_offset changed: a TSC deadline then falls due at another VM time.
void lapic_tsc_changed(struct vcpu *vcpu, uint64_t now);

// The timer's registers, for vm/apic/lapic.c.
void lapic_timer_stop(struct vcpu *vcpu);
uint32_t lapic_timer_current(const struct vcpu *vcpu, uint64_t now);
void lapic_timer_set_count(struct vcpu *vcpu, uint32_t count, uint64_t now);
void lapic_timer_set_divide(struct vcpu *vcpu, uint32_t divide, uint64_t now);
void lapic_timer_set_lvt(struct vcpu *vcpu, uint32_t lvt, uint64_t now);
void lapic_timer_set_deadline(struct vcpu *vcpu, uint64_t guest_tsc, uint64_t now);

// ---- messages between APICs (vm/apic/ipi.c) ----

enum shorthand { SHORTHAND_NONE, SHORTHAND_SELF, SHORTHAND_ALL, SHORTHAND_OTHERS };

struct lapic_message {
    uint32_t destination; // an APIC ID, or the message destination address of the logical modes
    uint8_t vector;
    uint8_t mode;      // enum delivery_mode
    uint8_t shorthand; // enum shorthand; SELF and OTHERS need a sender
    bool logical;
    bool level; // level-triggered: sets the target's TMR bit
    bool wide;  // 32-bit destination (x2APIC sender): FFFFFFFFH is the broadcast, else FFH
};

// Delivers a message to every vCPU that it addresses (or the least busy of them). `sender` is NULL
// for I/O APICs; else the caller is the CPU that runs it. False: no APIC accepted it.
bool lapic_deliver(struct vm *vm, struct vcpu *sender, const struct lapic_message *message);

// A message-signalled interrupt: the fields of its address and data.
#define MSI_ADDRESS     UINT64_C(0xfee00000)
#define MSI_DESTINATION BITS(19, 12)
#define MSI_REDIRECT    BIT(3) // RH
#define MSI_LOGICAL     BIT(2) // DM
#define MSI_VECTOR      BITS(7, 0)
#define MSI_MODE        BITS(10, 8)
#define MSI_ASSERT      BIT32(14)
#define MSI_LEVEL       BIT32(15)

// A device's or an I/O APIC's write of `data` to `address` where interrupt messages are. False: it
// is no such message, or no APIC accepted it. Any CPU may call it.
bool msi_deliver(struct vm *vm, uint64_t address, uint32_t data);

// A write to the interrupt command register: sends what it says. `icr` is in x2APIC format if the
// APIC is in x2APIC mode, otherwise bits 63:56 are the destination.
void lapic_send(struct vcpu *vcpu, uint64_t icr);

// A write to SELF IPI: the vector, edge-triggered, to the sender.
void lapic_send_self(struct vcpu *vcpu, uint8_t vector);
