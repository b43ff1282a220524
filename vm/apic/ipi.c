// Messages to APICs: who a destination names, and what each delivery mode does there. Called for
// the interrupt command register, by the I/O APIC and by devices. SDM: "Issuing Interprocessor
// Interrupts", "Determining IPI Destination", "Logical Destination Mode in x2APIC Mode", "Message
// Signalled Interrupts".
#include "vm/vm.h"

#define ICR_MODE      BITS(10, 8)
#define ICR_LOGICAL   BIT(11)
#define ICR_ASSERT    BIT(14)
#define ICR_LEVEL     BIT(15)
#define ICR_SHORTHAND BITS(19, 18)

#define DFR_FLAT    0xf
#define DFR_CLUSTER 0x0

// ---- destinations ----

// The target's registers belong to another CPU: each is read once.
static bool matches_logical(const struct vcpu *target, uint32_t destination)
{
    uint32_t ldr = lapic_get(&target->lapic, LAPIC_LDR);
    if (lapic_in_x2apic(target))
        return destination >> 16 == ldr >> 16 && (destination & ldr & 0xffff);
    if (destination > 0xff)
        return false;
    uint32_t id = ldr >> 24, model = lapic_get(&target->lapic, LAPIC_DFR) >> 28;
    if (model == DFR_FLAT)
        return (destination & id) != 0;
    return model == DFR_CLUSTER && destination >> 4 == id >> 4 && (destination & id & 0xf);
}

static inline __attribute__((always_inline)) bool
matches(const struct vcpu *target, const struct vcpu *sender, const struct lapic_message *message)
{
    if (!lapic_enabled(target))
        return false;
    switch ((enum shorthand)message->shorthand) {
    case SHORTHAND_SELF:
        return target == sender;
    case SHORTHAND_ALL:
        return true;
    case SHORTHAND_OTHERS:
        return target != sender;
    case SHORTHAND_NONE:
        break;
    }
    if (message->destination == (message->wide ? UINT32_MAX : 0xff))
        return true;
    return message->logical ? matches_logical(target, message->destination)
                            : message->destination == target->apic_id;
}

// ---- delivery ----

static bool is_here(const struct vcpu *target)
{
    const struct vm_host *host = target->vm->host;
    return host->is_here && host->is_here(target);
}

static inline bool deliver_fixed(struct vcpu *target, struct vcpu *sender,
                                 const struct lapic_message *message)
{
    if (!lapic_accepts(target))
        return false;
    if (!message->level && (target == sender || is_here(target)))
        lapic_raise(target, message->vector); // on its own CPU: no need to post
    else
        lapic_post(target, message->vector, message->level);
    return true;
}

static bool deliver_one(struct vcpu *target, struct vcpu *sender,
                        const struct lapic_message *message)
{
    switch ((enum delivery_mode)message->mode) {
    case DELIVERY_FIXED:
    case DELIVERY_LOWEST:
        return deliver_fixed(target, sender, message);
    case DELIVERY_NMI:
        vcpu_send_nmi(target);
        return true;
    case DELIVERY_INIT:
        vcpu_send_init(target);
        return true;
    case DELIVERY_STARTUP:
        vcpu_send_sipi(target, message->vector);
        return true;
    case DELIVERY_EXTINT:
        atomic_store(&target->lapic.posted_extint, 1);
        vcpu_request(target, REQUEST_EVENT);
        return true;
    case DELIVERY_SMI: // there is no system-management mode here
    case DELIVERY_RESERVED:
        break;
    }
    return false;
}

// The class of its TPR or of what it serves. Its page alone is true: a CPU may work on that.
static unsigned busyness(struct vcpu *target)
{
    unsigned tpr = (lapic_get(&target->lapic, LAPIC_TPR) & 0xff) >> 4;
    unsigned group = LAPIC_GROUPS;
    while (group-- > 0) {
        uint32_t bits = lapic_get(&target->lapic, LAPIC_ISR + group * 16);
        if (bits)
            return MAX(tpr, (group * 32 + highest_bit(bits)) >> 4);
    }
    return tpr;
}

// The addressed vCPU of the lowest priority; among equals the first behind the last winner.
static bool deliver_lowest(struct vm *vm, struct vcpu *sender, const struct lapic_message *message)
{
    struct vcpu *winner = NULL;
    uint32_t last = atomic_load_explicit(&vm->arbitration, memory_order_relaxed);
    for (unsigned i = 1; i <= vm->vcpu_count; i++) {
        struct vcpu *candidate = vm->vcpu[(last + i) % vm->vcpu_count];
        if (!matches(candidate, sender, message) || !lapic_accepts(candidate))
            continue;
        if (!winner || busyness(candidate) < busyness(winner))
            winner = candidate;
    }
    if (!winner)
        return false;
    atomic_store_explicit(&vm->arbitration, winner->id, memory_order_relaxed);
    return deliver_fixed(winner, sender, message);
}

// Where the message is made, so that what is constant of it costs nothing.
static inline __attribute__((always_inline)) bool deliver(struct vm *vm, struct vcpu *sender,
                                                          const struct lapic_message *message)
{
    if (message->mode == DELIVERY_LOWEST)
        return deliver_lowest(vm, sender, message);
    bool accepted = false;
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        if (matches(vm->vcpu[i], sender, message))
            accepted |= message->mode == DELIVERY_FIXED
                            ? deliver_fixed(vm->vcpu[i], sender, message)
                            : deliver_one(vm->vcpu[i], sender, message);
    return accepted;
}

bool lapic_deliver(struct vm *vm, struct vcpu *sender, const struct lapic_message *message)
{
    return deliver(vm, sender, message);
}

bool msi_deliver(struct vm *vm, uint64_t address, uint32_t data)
{
    uint8_t mode = (uint8_t)FIELD_GET(MSI_MODE, data);
    bool takes_levels = mode == DELIVERY_FIXED || mode == DELIVERY_LOWEST;
    bool is_level = takes_levels && (data & MSI_LEVEL);
    // Outside the window a write is no message; STARTUP is a reserved mode here. The end of a level
    // says nothing: the EOI ends it.
    if ((address & ~BITS(19, 0)) != MSI_ADDRESS || mode == DELIVERY_STARTUP ||
        (is_level && !(data & MSI_ASSERT)))
        return false;
    // The manual has DM count with RH alone; processors, and Linux with them, take it always.
    return deliver(vm, NULL,
                   &(struct lapic_message){
                       .destination = (uint32_t)FIELD_GET(MSI_DESTINATION, address),
                       .vector = (uint8_t)FIELD_GET(MSI_VECTOR, data),
                       .mode = takes_levels && (address & MSI_REDIRECT) ? DELIVERY_LOWEST : mode,
                       .logical = (address & MSI_LOGICAL) != 0,
                       .level = is_level,
                   });
}

// ---- the interrupt command register ----

// A plain interrupt from a vCPU to itself: the case that must be fast.
static inline bool is_to_self(const struct vcpu *vcpu, uint64_t icr, uint32_t destination)
{
    if (!(icr & (ICR_MODE | ICR_LOGICAL | ICR_SHORTHAND)))
        return destination == vcpu->apic_id;
    return !(icr & ICR_MODE) && FIELD_GET(ICR_SHORTHAND, icr) == SHORTHAND_SELF;
}

void lapic_send_self(struct vcpu *vcpu, uint8_t vector)
{
    if (vector < 16)
        lapic_error(vcpu, LAPIC_ERROR_SEND_VECTOR);
    else if (lapic_accepts(vcpu))
        lapic_raise(vcpu, vector);
}

void lapic_send(struct vcpu *vcpu, uint64_t icr)
{
    bool wide = lapic_in_x2apic(vcpu);
    uint32_t destination = (uint32_t)(wide ? icr >> 32 : icr >> 56);
    uint8_t vector = (uint8_t)icr, mode = (uint8_t)FIELD_GET(ICR_MODE, icr);

    if (is_to_self(vcpu, icr, destination)) {
        lapic_send_self(vcpu, vector);
        return;
    }
    if (vector < 16 && (mode == DELIVERY_FIXED || mode == DELIVERY_LOWEST)) {
        lapic_error(vcpu, LAPIC_ERROR_SEND_VECTOR);
        return;
    }
    if (mode == DELIVERY_EXTINT) // only I/O APICs send it
        return;
    if (mode == DELIVERY_INIT && (icr & ICR_LEVEL) && !(icr & ICR_ASSERT))
        return; // INIT level de-assert: no processor of today does anything
    lapic_deliver(vcpu->vm, vcpu,
                  &(struct lapic_message){
                      .destination = destination,
                      .vector = vector,
                      .mode = mode,
                      .shorthand = (uint8_t)FIELD_GET(ICR_SHORTHAND, icr),
                      .logical = (icr & ICR_LOGICAL) != 0,
                      .wide = wide,
                  });
}
