// The way of an interrupt through a local APIC: posted by any CPU, pending in the IRR, in service
// in the ISR, ended by EOI; and its local sources. Called by vm/event.c, the APIC's registers,
// devices and other vCPUs. SDM: "Handling Interrupts", "Local Vector Table", "Error Handling".
#include "vm/lapic_vectors.h"
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

// ---- EOI in the guest's memory ----
// An offer is made when nothing else is pending, so that nobody waits for the EOI; it is settled
// before anything enters the IRR, hence whoever finds a vector there also finds a true ISR.

#define EOI_OFFERED 1

void lapic_withdraw_eoi(struct vcpu *vcpu)
{
    if (vcpu->lapic.delegate == DELEGATE_GUEST)
        __atomic_fetch_and(vcpu->lapic.eoi_flag, (uint8_t)~EOI_OFFERED, __ATOMIC_RELAXED);
    vcpu->lapic.delegate = DELEGATE_NONE;
}

static void end_of_interrupt(struct vcpu *vcpu);

__attribute__((noinline)) static void settle_guest(struct vcpu *vcpu)
{
    vcpu->lapic.delegate = DELEGATE_NONE;
    uint8_t flag =
        __atomic_fetch_and(vcpu->lapic.eoi_flag, (uint8_t)~EOI_OFFERED, __ATOMIC_RELAXED);
    if (!(flag & EOI_OFFERED))
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
static void offer_eoi(struct lapic *lapic, unsigned vector)
{
    if (lapic->irr_groups || lapic->read_by_cpu || vectors_has(lapic, LAPIC_TMR, vector))
        return;
    lapic->delegate = DELEGATE_GUEST;
    __atomic_fetch_or(lapic->eoi_flag, EOI_OFFERED, __ATOMIC_RELAXED);
}

bool lapic_set_eoi_flag(struct vcpu *vcpu, uint64_t value)
{
    uint64_t address = value & ~UINT64_C(3);
    uint8_t *flag = NULL;
    if (value & 2)
        return false;
    if ((value & 1) && !(flag = gmem_at(&vcpu->vm->memory, gpa(address), 4)))
        return false;
    lapic_settle(vcpu);
    vcpu->lapic.eoi_flag = flag;
    vcpu->msr.kvm_eoi = value;
    if (flag)
        __atomic_fetch_and(flag, (uint8_t)~EOI_OFFERED, __ATOMIC_RELAXED);
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
    struct lapic *lapic = &vcpu->lapic;
    bool posted = atomic_load_explicit(&lapic->posted_groups, memory_order_relaxed);
    return posted ? lapic_take_posted(vcpu) : lapic;
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
    if (lapic->eoi_flag)
        offer_eoi(lapic, (unsigned)vector);
    return vector;
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
