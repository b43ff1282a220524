// APIC virtualization. See apicv.h; the state itself is in vm/apic/lapic.h, in a page that the CPU
// and the software local APIC share.

#include "vmx/apicv.h"

#include "lib/string.h"
#include "mm/tables/frames.h"
#include "vmx/instructions.h"
#include "vmx/ram_flush.h"

// The MSRs that the CPU answers in x2APIC mode, and only then: with another mode's bitmap the guest
// would reach the host's own APIC.
static void open_x2apic(uint8_t *bitmap)
{
    bool delivers = vmx_uses(FEATURE_VIRTUAL_INTERRUPTS);
    for (unsigned i = 0; i <= MSR_X2APIC_LAST - MSR_X2APIC_FIRST; i++)
        if (vmx_uses(FEATURE_APIC_REGISTER) && lapic_may_read_page(i, delivers))
            msr_bitmap_pass(bitmap, MSR_X2APIC_FIRST + i, false);
    msr_bitmap_pass(bitmap, MSR_X2APIC_FIRST + LAPIC_TPR / 16, false);
    msr_bitmap_pass(bitmap, MSR_X2APIC_FIRST + LAPIC_TPR / 16, true);
    if (!delivers)
        return;
    msr_bitmap_pass(bitmap, MSR_X2APIC_FIRST + LAPIC_EOI / 16, true);
    msr_bitmap_pass(bitmap, MSR_X2APIC_FIRST + LAPIC_SELF_IPI / 16, true);
}

status_t apicv_setup_vm(struct vmx_vm *vm, struct explanation *why)
{
    if (vmx_uses(FEATURE_X2APIC_VIRT)) {
        vm->x2apic_bitmap = frame_allocate(vm->vm->id);
        if (!vm->x2apic_bitmap)
            return explain(why, STATUS_NO_MEMORY, "no memory for the MSR bitmap of x2APIC mode");
        memcpy(vm->x2apic_bitmap, vm->msr_bitmap, PAGE_SIZE);
        open_x2apic(vm->x2apic_bitmap);
    }
    if (vmx_uses(FEATURE_APIC_ACCESS)) {
        vm->apic_access = frame_allocate(vm->vm->id);
        if (!vm->apic_access)
            return explain(why, STATUS_NO_MEMORY, "no memory for the APIC-access page");
        memset(vm->apic_access, 0, PAGE_SIZE);
    }
    return STATUS_OK;
}

void apicv_release_vm(struct vmx_vm *vm)
{
    if (vm->x2apic_bitmap)
        frame_free(vm->x2apic_bitmap, vm->vm->id);
    if (vm->apic_access)
        frame_free(vm->apic_access, vm->vm->id);
}

// ---- the APIC-access page ----

static bool all_at_default(const struct vm *vm)
{
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        if (!lapic_mmio_claims(vm->vcpu[i], APIC_BASE_DEFAULT))
            return false;
    return true;
}

// One page table serves all vCPUs of a VM. The page is mapped while all of them have their xAPIC
// there; else nothing is, and those that have are served by EPT violations.
static void map_page(struct vmx_vcpu *vcpu)
{
    struct vmx_vm *vmx = vcpu->vm;
    struct vm *vm = vmx->vm;
    if (!vmx->apic_access)
        return;
    spin_lock(&vmx->ept_lock);
    bool wanted = all_at_default(vm);
    bool done = true;
    if (wanted && !vmx->apic_mapped)
        done = page_table_map(&vmx->ept, APIC_BASE_DEFAULT, (uintptr_t)vmx->apic_access, PAGE_SIZE,
                              EPT_RAM & ~EPT_EXECUTE);
    if (!wanted && vmx->apic_mapped) {
        done = page_table_change(&vmx->ept, APIC_BASE_DEFAULT, PAGE_SIZE, 0, 0);
        ram_changed(vm);
    }
    if (done) // without a frame for the tables it stays as it is
        vmx->apic_mapped = wanted;
    spin_unlock(&vmx->ept_lock);
}

// ---- the controls of a vCPU ----

void apicv_follow(struct vmx_vcpu *v)
{
    struct vcpu *vcpu = &v->guest;
    bool x2apic = lapic_in_x2apic(vcpu);
    uint64_t controls =
        vmcs_config_apic(&host_vmcs_config, lapic_enabled(vcpu), x2apic, lapic_accepts(vcpu));
    uint64_t changed = controls ^ v->apic_controls;
    v->apic_controls = controls;
    v->virtual_delivery = (controls & SECONDARY_VIRTUAL_INTERRUPT_DELIVERY) != 0;
    bool posted = v->virtual_delivery && vmx_uses(FEATURE_POSTED_INTERRUPTS);

    lapic_settle(vcpu);
    vcpu->lapic.read_by_cpu = (controls & SECONDARY_APIC_REGISTER) && !x2apic;
    atomic_store(&vcpu->lapic.posts_notify, posted);
    vmwrite(VMCS_SECONDARY_CONTROLS, v->vm->word[WORD_SECONDARY] | controls);
    vmwrite(VMCS_PIN_BASED_CONTROLS, v->vm->word[WORD_PIN] | (posted ? PIN_POSTED_INTERRUPTS : 0));
    vmwrite(VMCS_MSR_BITMAPS,
            (uintptr_t)(controls & SECONDARY_VIRTUALIZE_X2APIC ? v->vm->x2apic_bitmap
                                                               : v->vm->msr_bitmap));
    if (vmx_uses(FEATURE_APIC_ACCESS))
        vmwrite(VMCS_APIC_ACCESS_ADDRESS, (uintptr_t)v->vm->apic_access);
    if (vmx_uses(FEATURE_POSTED_INTERRUPTS)) {
        vmwrite(VMCS_POSTED_INTERRUPT_VECTOR, VECTOR_POSTED);
        vmwrite(VMCS_POSTED_INTERRUPT_DESCRIPTOR, (uintptr_t)&vcpu->lapic.page->posted);
    }
    if (v->virtual_delivery)
        for (unsigned i = 0; i < ARRAY_LENGTH(v->eoi_exits); i++)
            vmwrite(VMCS_EOI_EXIT_BITMAP_0 + 2 * i, v->eoi_exits[i]);
    map_page(v);
    // Translations made without the control do not know of the page.
    if (changed & SECONDARY_VIRTUALIZE_APIC_ACCESSES)
        vcpu_note(vcpu, REQUEST_FLUSH_EPT | REQUEST_FLUSH_TLB);
    vcpu_note(vcpu, REQUEST_EVENT);
}

// ---- interrupts ----

// The EOI-exit bitmap is the TMR: the I/O APIC waits for the end of what is level-triggered.
static void write_eoi_exits(struct vmx_vcpu *v, uint32_t groups)
{
    const struct lapic *lapic = &v->guest.lapic;
    for (uint32_t pairs = (groups | groups >> 1) & 0x55; pairs; pairs &= pairs - 1) {
        unsigned i = lowest_bit(pairs) / 2;
        uint64_t exits = lapic_get(lapic, LAPIC_TMR + 32 * i) |
                         (uint64_t)lapic_get(lapic, LAPIC_TMR + 32 * i + 16) << 32;
        if (exits == v->eoi_exits[i])
            continue;
        v->eoi_exits[i] = exits;
        vmwrite(VMCS_EOI_EXIT_BITMAP_0 + 2 * i, exits);
    }
}

void apicv_deliver(struct vmx_vcpu *v)
{
    uint32_t before = vmread32(VMCS_GUEST_INTERRUPT_STATUS), status = before;
    uint32_t groups = lapic_hand_over(&v->guest, &status);
    if (status != before)
        vmwrite(VMCS_GUEST_INTERRUPT_STATUS, status);
    write_eoi_exits(v, groups);
}
