// The way of an interrupt through a local APIC: posted by any CPU, pending in the IRR, in service
// in the ISR, ended by EOI; and its local sources. Called by vm/event.c, the APIC's registers,
// devices and other vCPUs. SDM: "Handling Interrupts", "Local Vector Table", "Error Handling".
#include "vm/apic/lapic_registers.h"
#include "vm/apic/lapic_vectors.h"
#include "vm/vm.h"

#define CLASS 0xf0 // the priority class of a vector, TPR or PPR

// Sets or clears a vector's bit in ISR or IRR and keeps its summary.
static inline void set_bit(struct lapic *lapic, unsigned base, uint32_t *groups, unsigned vector)
{
    uint32_t *word = vectors_word(lapic, base, vector);
    vectors_set(word, vectors_get(word) | BIT32(vector % 32));
    *groups |= BIT32(vector / 32);
}

static inline void clear_bit(struct lapic *lapic, unsigned base, uint32_t *groups, unsigned vector)
{
    uint32_t *word = vectors_word(lapic, base, vector);
    uint32_t rest = vectors_get(word) & ~BIT32(vector % 32);
    vectors_set(word, rest);
    if (rest == 0)
        *groups &= ~BIT32(vector / 32);
}

bool lapic_take_back(struct vcpu *vcpu)
{
    struct lapic *lapic = &vcpu->lapic;
    if (lapic->delegate != DELEGATE_CPU)
        return false;
    lapic->delegate = DELEGATE_NONE;
    lapic->irr_groups = vectors_groups(lapic, LAPIC_IRR);
    lapic->isr_groups = vectors_groups(lapic, LAPIC_ISR);
    lapic->in_service = vectors_highest(lapic, LAPIC_ISR, lapic->isr_groups);
    return true;
}

// ---- EOI in the guest's memory ----
// An offer is made when nothing else is pending, so that nobody waits for the EOI; it is settled
// before anything enters the IRR, hence whoever finds a vector there also finds a true ISR.

// Of MSR_KVM_PV_EOI: enabled, and where the byte is.
#define EOI_ENABLE   BIT(0)
#define EOI_RESERVED BIT(1)
#define EOI_ADDRESS  BITS(63, 2)

#define EOI_OFFERED 1

static inline uint8_t clear_offer(struct vcpu *vcpu)
{
    return gmem_clear_bits(&vcpu->vm->memory, gpa(vcpu->msr.kvm_eoi & EOI_ADDRESS), EOI_OFFERED);
}

void lapic_withdraw_eoi(struct vcpu *vcpu)
{
    if (vcpu->lapic.delegate == DELEGATE_GUEST)
        clear_offer(vcpu);
    vcpu->lapic.delegate = DELEGATE_NONE;
}

static void end_of_interrupt(struct vcpu *vcpu);

__attribute__((noinline)) static void settle_guest(struct vcpu *vcpu)
{
    vcpu->lapic.delegate = DELEGATE_NONE;
    if (!(clear_offer(vcpu) & EOI_OFFERED))
        end_of_interrupt(vcpu);
}

void lapic_settle(struct vcpu *vcpu)
{
    if (vcpu->lapic.delegate == DELEGATE_GUEST)
        settle_guest(vcpu);
    else if (lapic_take_back(vcpu))
        vcpu_note(vcpu, REQUEST_EVENT); // and it is handed over again
}

// Before something enters the IRR.
static inline void settle_eoi(struct vcpu *vcpu)
{
    if (__builtin_expect(vcpu->lapic.delegate == DELEGATE_GUEST, false))
        settle_guest(vcpu);
}

// A level-triggered one must reach the I/O APIC at its end, so it is ended by the register; and a
// guest that reads the ISR in the page would find what it has ended.
static void offer_eoi(struct vcpu *vcpu, unsigned vector)
{
    struct lapic *lapic = &vcpu->lapic;
    if (lapic->irr_groups || lapic->read_by_cpu || vectors_has(lapic, LAPIC_TMR, vector))
        return;
    lapic->delegate = DELEGATE_GUEST;
    gmem_set_bits(&vcpu->vm->memory, gpa(vcpu->msr.kvm_eoi & EOI_ADDRESS), EOI_OFFERED);
}

bool lapic_set_eoi_flag(struct vcpu *vcpu, uint64_t value)
{
    bool is_on = value & EOI_ENABLE;
    if ((value & EOI_RESERVED) ||
        (is_on && !gmem_is_ram(&vcpu->vm->memory, gpa(value & EOI_ADDRESS), 4)))
        return false;
    lapic_settle(vcpu);
    vcpu->msr.kvm_eoi = value;
    if (is_on)
        clear_offer(vcpu);
    return true;
}

// ---- pending ----

// Level-triggered ones need a mark in the TMR before the CPU may see them: they keep out of its
// descriptor.
void lapic_post(struct vcpu *target, uint8_t vector, bool level)
{
    struct lapic *lapic = &target->lapic;
    struct lapic_posted *posted = &lapic->page->posted;
    unsigned group = vector / 32;
    atomic_fetch_or(level ? &lapic->posted_level[group] : &posted->request[group],
                    BIT32(vector % 32));
    atomic_fetch_or(&lapic->posted_groups, BIT32(group));
    if (level || !atomic_load_explicit(&lapic->posts_notify, memory_order_relaxed)) {
        vcpu_request(target, REQUEST_EVENT);
        return;
    }
    // The request after the mark: whoever serves it before an entry clears the mark, so that none
    // stays behind which no notification follows.
    bool outstanding = atomic_fetch_or(&posted->control, POSTED_OUTSTANDING) & POSTED_OUTSTANDING;
    atomic_fetch_or(&target->requests, REQUEST_EVENT);
    target->vm->host->notify(target, outstanding);
}

void lapic_raise(struct vcpu *vcpu, uint8_t vector)
{
    struct lapic *lapic = &vcpu->lapic;
    if (vector < 16) {
        lapic_error(vcpu, LAPIC_ERROR_RECEIVE_VECTOR);
        return;
    }
    settle_eoi(vcpu);
    uint32_t *tmr = vectors_word(lapic, LAPIC_TMR, vector);
    vectors_set(tmr, vectors_get(tmr) & ~BIT32(vector % 32));
    if (vectors_has(lapic, LAPIC_IRR, vector))
        return; // whatever it waits for has been asked for
    set_bit(lapic, LAPIC_IRR, &lapic->irr_groups, vector);
    vcpu_note(vcpu, REQUEST_EVENT);
}

void lapic_show_remote_irr(struct lapic *lapic)
{
    uint32_t entry = lapic_get(lapic, LAPIC_LVT_LINT0) & ~LVT_REMOTE_IRR;
    lapic_set(lapic, LAPIC_LVT_LINT0, entry | (lapic->lint0_serves ? LVT_REMOTE_IRR : 0));
}

struct lapic *lapic_take_posted(struct vcpu *vcpu)
{
    struct lapic *lapic = &vcpu->lapic;
    settle_eoi(vcpu);
    uint32_t groups = atomic_exchange(&lapic->posted_groups, 0);
    while (groups) {
        unsigned group = lowest_bit(groups);
        groups &= groups - 1;
        uint32_t level = atomic_exchange(&lapic->posted_level[group], 0);
        uint32_t bits = atomic_exchange(&lapic->page->posted.request[group], 0) | level;
        if (group == 0 && (bits & 0xffff)) {
            lapic_error(vcpu, LAPIC_ERROR_RECEIVE_VECTOR);
            bits &= ~UINT32_C(0xffff);
            level &= bits;
        }
        if (bits == 0)
            continue;
        if (level)
            lapic_show_remote_irr(lapic);
        uint32_t *tmr = vectors_word(lapic, LAPIC_TMR, group * 32);
        uint32_t *irr = vectors_word(lapic, LAPIC_IRR, group * 32);
        vectors_set(tmr, (vectors_get(tmr) & ~bits) | level);
        vectors_set(irr, vectors_get(irr) | bits);
        lapic->irr_groups |= BIT32(group);
    }
    return lapic;
}

static inline struct lapic *with_posted(struct vcpu *vcpu)
{
    bool posted = atomic_load_explicit(&vcpu->lapic.posted_groups, memory_order_relaxed);
    return posted ? lapic_take_posted(vcpu) : &vcpu->lapic;
}

// Whether a vector of this class is above the processor's priority. The TPR is read where it is:
// with the TPR shadow a guest changes it without an exit.
static inline bool is_deliverable(const struct lapic *lapic, int vector)
{
    int class = vector & CLASS;
    return vector >= 0 && class > (int)(lapic_get(lapic, LAPIC_TPR) & CLASS) &&
           (lapic->in_service < 0 || class > (lapic->in_service & CLASS));
}

static inline int pending(struct lapic *lapic)
{
    int vector = vectors_highest(lapic, LAPIC_IRR, lapic->irr_groups);
    return is_deliverable(lapic, vector) ? vector : -1;
}

int lapic_pending(struct vcpu *vcpu)
{
    return pending(with_posted(vcpu));
}

uint8_t lapic_tpr_threshold(struct vcpu *vcpu)
{
    struct lapic *lapic = with_posted(vcpu);
    int vector = vectors_highest(lapic, LAPIC_IRR, lapic->irr_groups);
    if (vector < 0 || (lapic->in_service >= 0 && (lapic->in_service & CLASS) >= (vector & CLASS)))
        return 0; // none, or an EOI must come first
    uint32_t tpr = lapic_get(lapic, LAPIC_TPR) & CLASS;
    return tpr >= ((uint32_t)vector & CLASS) ? (uint8_t)(vector >> 4) : 0;
}

// ---- the LINT0 pins ----

// INTR is high at the pin. A level-triggered interrupt comes once until it is ended, however often
// somebody looks; all others come when INTR rises.
static void take_lint0(struct vcpu *target, bool rose)
{
    if (!lapic_enabled(target))
        return;
    uint32_t entry = lapic_get(&target->lapic, LAPIC_LVT_LINT0), none = 0;
    uint32_t mode = (uint32_t)FIELD_GET(LVT_MODE, entry), vector = entry & LVT_VECTOR;
    bool level = mode == DELIVERY_FIXED && (entry & LVT_LEVEL);
    if (entry & LVT_MASKED)
        return;
    if (level && vector >= 16) {
        if (!atomic_compare_exchange_strong(&target->lapic.lint0_serves, &none, vector))
            return;
    } else if (!rose) {
        return;
    }
    if (mode == DELIVERY_FIXED)
        lapic_post(target, (uint8_t)vector, level);
    else if (mode == DELIVERY_NMI)
        vcpu_send_nmi(target);
    else if (mode == DELIVERY_INIT)
        vcpu_send_init(target);
}

// The 8259's INTR is wired to the LINT0 pins of all CPUs. One that has it as ExtINT asks the 8259
// itself (lapic_extint_pending()).
void lapic_lint0_rise(struct vm *vm)
{
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        take_lint0(vm->vcpu[i], true);
}

void lapic_lint0_look(struct vcpu *vcpu)
{
    const struct vm_irqchip *irqchip = &vcpu->vm->irqchip;
    if (irqchip->pic_line && irqchip->pic_line(irqchip->pic))
        take_lint0(vcpu, false);
    lapic_show_remote_irr(&vcpu->lapic);
}

// ---- in service ----

int lapic_take(struct vcpu *vcpu)
{
    struct lapic *lapic = with_posted(vcpu);
    int vector = pending(lapic);
    if (vector < 0)
        return -1;
    clear_bit(lapic, LAPIC_IRR, &lapic->irr_groups, (unsigned)vector);
    set_bit(lapic, LAPIC_ISR, &lapic->isr_groups, (unsigned)vector);
    lapic->in_service = vector;
    if (vcpu->msr.kvm_eoi & EOI_ENABLE)
        offer_eoi(vcpu, (unsigned)vector);
    return vector;
}

void lapic_ended(struct vcpu *vcpu, uint8_t vector)
{
    const struct vm_irqchip *irqchip = &vcpu->vm->irqchip;
    if (!vectors_has(&vcpu->lapic, LAPIC_TMR, vector))
        return;
    if (irqchip->ioapic_eoi)
        irqchip->ioapic_eoi(irqchip->ioapic, vector);
    uint32_t served = vector;
    if (atomic_compare_exchange_strong(&vcpu->lapic.lint0_serves, &served, 0))
        lapic_lint0_look(vcpu);
}

static void end_of_interrupt(struct vcpu *vcpu)
{
    struct lapic *lapic = &vcpu->lapic;
    int vector = lapic->in_service;
    if (vector < 0)
        return;
    clear_bit(lapic, LAPIC_ISR, &lapic->isr_groups, (unsigned)vector);
    lapic->in_service = vectors_highest(lapic, LAPIC_ISR, lapic->isr_groups);
    if (lapic->irr_groups)
        vcpu_note(vcpu, REQUEST_EVENT);
    if (vectors_has(lapic, LAPIC_TMR, (unsigned)vector))
        lapic_ended(vcpu, (uint8_t)vector);
}

void lapic_eoi(struct vcpu *vcpu)
{
    if (__builtin_expect(vcpu->lapic.delegate, DELEGATE_NONE) != DELEGATE_NONE)
        lapic_settle(vcpu);
    end_of_interrupt(vcpu);
}

uint8_t lapic_ppr(const struct vcpu *vcpu)
{
    uint8_t tpr = lapic_tpr(vcpu);
    int service = vcpu->lapic.in_service < 0 ? 0 : vcpu->lapic.in_service & CLASS;
    return (tpr & CLASS) >= service ? tpr : (uint8_t)service;
}

uint8_t lapic_tpr(const struct vcpu *vcpu)
{
    return (uint8_t)lapic_get(&vcpu->lapic, LAPIC_TPR);
}

void lapic_set_tpr(struct vcpu *vcpu, uint8_t tpr)
{
    lapic_set(&vcpu->lapic, LAPIC_TPR, tpr);
    if (vcpu->lapic.irr_groups)
        vcpu_note(vcpu, REQUEST_EVENT);
}

// ---- local sources ----

void lapic_error(struct vcpu *vcpu, enum lapic_error error)
{
    struct lapic *lapic = &vcpu->lapic;
    lapic->errors |= error;
    uint32_t lvt = lapic_get(lapic, LAPIC_LVT_ERROR);
    if (lvt & LVT_MASKED)
        return;
    if ((lvt & LVT_VECTOR) < 16)
        lapic->errors |= LAPIC_ERROR_RECEIVE_VECTOR; // and no further error for that
    else
        lapic_raise(vcpu, lvt & LVT_VECTOR);
}

// The 8259's INTR reaches the LINT0 pin of vCPU 0, as on most boards.
static bool lint0_is_extint(const struct vcpu *vcpu)
{
    if (vcpu->id != 0)
        return false;
    if (!lapic_enabled(vcpu))
        return true;
    uint32_t entry = lapic_get(&vcpu->lapic, LAPIC_LVT_LINT0);
    return (entry & (LVT_MASKED | LVT_MODE)) == FIELD_MAKE(LVT_MODE, DELIVERY_EXTINT);
}

bool lapic_extint_pending(const struct vcpu *vcpu)
{
    const struct vm_irqchip *irqchip = &vcpu->vm->irqchip;
    if (!atomic_load_explicit(&vcpu->lapic.posted_extint, memory_order_relaxed) &&
        !lint0_is_extint(vcpu))
        return false;
    return irqchip->pic_pending && irqchip->pic_pending(irqchip->pic);
}

uint8_t lapic_extint_acknowledge(struct vcpu *vcpu)
{
    const struct vm_irqchip *irqchip = &vcpu->vm->irqchip;
    atomic_store_explicit(&vcpu->lapic.posted_extint, 0, memory_order_relaxed);
    return irqchip->pic_acknowledge(irqchip->pic);
}

// ---- a CPU that virtualizes the APIC ----
// It answers the guest's reads of the page, delivers from the IRR and ends interrupts in the ISR by
// itself. SDM: "APIC Virtualization and Virtual Interrupts".

#define STATUS_RVI UINT32_C(0xff) // the highest vector of the IRR; bits 15:8, SVI: of the ISR

uint32_t lapic_hand_over(struct vcpu *vcpu, uint32_t *status)
{
    struct lapic *lapic = &vcpu->lapic;
    bool anew = lapic->delegate != DELEGATE_CPU;
    if (anew)
        lapic_settle(vcpu);
    if (atomic_load_explicit(&lapic->posts_notify, memory_order_relaxed))
        atomic_fetch_and(&lapic->page->posted.control, ~POSTED_OUTSTANDING);
    if (atomic_load_explicit(&lapic->posted_groups, memory_order_relaxed))
        lapic_take_posted(vcpu);
    uint32_t added = lapic->irr_groups;
    if (anew) {
        *status = lapic->in_service < 0 ? 0 : (uint32_t)lapic->in_service << 8;
        lapic->delegate = DELEGATE_CPU;
    }
    int vector = vectors_highest(lapic, LAPIC_IRR, added);
    if (vector > (int)(*status & STATUS_RVI))
        *status = (*status & ~STATUS_RVI) | (uint32_t)vector;
    lapic->irr_groups = 0;
    return anew ? BIT32(LAPIC_GROUPS) - 1 : added;
}
