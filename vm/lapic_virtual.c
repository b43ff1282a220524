// The local APIC's page in the hands of a CPU that virtualizes the APIC: it answers the guest's
// reads there, delivers from the IRR and ends interrupts in the ISR by itself. Called before an
// entry and by the exits that are left. SDM: "APIC Virtualization and Virtual Interrupts".
#include "vm/lapic_vectors.h"
#include "vm/vm.h"

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

void lapic_ended(struct vcpu *vcpu, uint8_t vector)
{
    const struct vm_irqchip *irqchip = &vcpu->vm->irqchip;
    if (vectors_has(&vcpu->lapic, LAPIC_TMR, vector) && irqchip->ioapic_eoi)
        irqchip->ioapic_eoi(irqchip->ioapic, vector);
}
