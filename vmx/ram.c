// Guest RAM that comes and goes: taken out of the nested page tables and put back, for the test
// device and EPT violations; or broken. SDM: "Guidelines for Use of the INVEPT Instruction".

#include "vmx/ram.h"

#include "arch/x86_64/machine_check.h"
#include "arch/x86_64/panic.h"
#include "arch/x86_64/tsc.h"
#include "lib/panic.h"
#include "mm/paging.h"
#include "mm/tables/dirty_log.h"
#include "mm/tables/frames.h"
#include "vmx/ram_flush.h"
#include "vmx/ram_pages.h"
#include "vmx/vmx.h"

static gpa_t page_of(gpa_t at)
{
    return gpa(at.value & ~(PAGE_SIZE - 1));
}

void ram_drop(struct vm *vm, gpa_t at)
{
    struct vmx_vm *vmx = vm->vmx;
    spin_lock(&vmx->ept_lock);
    bool is_out = dirty_log_drop(&vmx->log, page_of(at));
    spin_unlock(&vmx->ept_lock);
    if (is_out)
        ram_changed(vm);
}

#define VIOLATION_WRITE BIT(1)
#define RESTORE_HZ      200 // pieces of a restored log, for each vCPU that runs

// The page is mapped, or is hidden meanwhile: then its device gets the access, which is tried
// again.
static bool rom_fault(struct vmx_vm *vmx, gpa_t page)
{
    spin_lock(&vmx->ept_lock);
    const void *bytes = gmem_at(&vmx->vm->memory, page, PAGE_SIZE);
    bool done = !bytes || page_table_map(&vmx->ept, page.value, paging_window_hpa(bytes).value,
                                         PAGE_SIZE, EPT_ROM);
    spin_unlock(&vmx->ept_lock);
    return done;
}

void ram_hide(struct vm *vm)
{
    struct vmx_vm *vmx = vm->vmx;
    const struct gmem_rom *rom = &vm->memory.rom;
    spin_lock(&vmx->ept_lock);
    bool is_out = page_table_change(&vmx->ept, rom->start.value, rom->hidden, 0, 0);
    spin_unlock(&vmx->ept_lock);
    assert(is_out); // it was mapped by itself: nothing is split
    ram_changed(vm);
}

bool ram_fault(struct vcpu *vcpu, gpa_t at, uint64_t qualification)
{
    struct vm *vm = vcpu->vm;
    struct vmx_vm *vmx = vm->vmx;
    gpa_t page = page_of(at);
    if (gmem_is_rom(&vm->memory, at))
        return rom_fault(vmx, page);
    if (!gmem_at(&vm->memory, page, PAGE_SIZE))
        return false;
    if (!gmem_page(&vm->memory, page) && (ram_must_wait(vm) || !ram_take(&vm->memory, page))) {
        vcpu_note(vcpu, REQUEST_SCHEDULE); // it will be paused
        return true;
    }
    spin_lock(&vmx->ept_lock);
    const void *bytes = gmem_page(&vm->memory, page); // it may have gone again
    bool done = !bytes || dirty_log_fault(&vmx->log, page, paging_window_hpa(bytes),
                                          qualification & VIOLATION_WRITE);
    spin_unlock(&vmx->ept_lock);
    return done;
}

void ram_setup(struct vmx_vm *vmx)
{
    vmx->log.ept = &vmx->ept;
    vmx->log.memory = &vmx->vm->memory;
    vmx->log.how = vmx_uses(FEATURE_PML)      ? DIRTY_PML
                   : vmx_uses(FEATURE_EPT_AD) ? DIRTY_FLAGS
                                              : DIRTY_PROTECTED;
}

void ram_collect(struct vm *vm)
{
    struct vmx_vm *vmx = vm->vmx;
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        if (vmx_vcpu(vm->vcpu[i])->pml)
            dirty_log_collect(&vmx->log, vmx_vcpu(vm->vcpu[i])->pml);
}

void ram_log(struct vm *vm, bool on)
{
    struct vmx_vm *vmx = vm->vmx;
    spin_lock(&vmx->ept_lock);
    vmx->restores = !on && (vm->memory.dirty || vmx->restores);
    if (on) {
        ram_collect(vm); // of before
        dirty_log_begin(&vmx->log);
    } else if (vm->memory.dirty) {
        dirty_log_end(&vmx->log);
    }
    spin_unlock(&vmx->ept_lock);
    ram_changed(vm);
    for (unsigned i = 0; i < vm->vcpu_count && vmx->restores; i++)
        vcpu_request(vm->vcpu[i], REQUEST_SCHEDULE);
}

void ram_restore(struct vmx_vcpu *v)
{
    struct vm *vm = v->guest.vm;
    struct vmx_vm *vmx = vm->vmx;
    struct page_table *ept = &vmx->ept;
    spin_lock(&vmx->ept_lock);
    uint64_t before = ept->generation;
    if (ram_have_flushed(vm, ept->retired_at))
        page_table_reclaim(ept);
    if (vmx->restores)
        vmx->restores = dirty_log_restore(&vmx->log) || ept->retired_count;
    bool changed = ept->generation != before;
    spin_unlock(&vmx->ept_lock);
    v->slice_end = MIN(v->slice_end, rdtsc() + host_tsc_hz / RESTORE_HZ);
    if (changed)
        ram_changed(vm);
}

bool ram_written(struct vm *vm, gpa_t at)
{
    struct vmx_vm *vmx = vm->vmx;
    uint64_t number = at.value / PAGE_SIZE, which = BIT(number % 64);
    spin_lock(&vmx->ept_lock);
    ram_collect(vm);
    bool is_written = vm->memory.dirty && number / 64 < dirty_log_size(&vm->memory) / 8 &&
                      dirty_log_take(&vmx->log, number - number % 64, which);
    spin_unlock(&vmx->ept_lock);
    if (is_written)
        ram_changed(vm);
    return is_written;
}

void ram_release(struct vm *vm)
{
    struct vmx_vm *vmx = vm->vmx;
    if (vmx->log.bits)
        frames_free((void *)vmx->log.bits, dirty_log_size(&vm->memory), vm->id);
}

bool ram_machine_check(struct vcpu *vcpu)
{
    struct mca_bank bank;
    uint64_t frame;
    gpa_t page;
    enum mca_action action = machine_check_serve(true, &bank);
    if (action == MCA_GO_ON)
        return false;
    // What the CPU used for the guest may be ours: its page tables, its VMCS.
    if (action != MCA_TELL_GUEST || !mca_frame(&bank, &frame) ||
        !gmem_find(&vcpu->vm->memory, paging_window(hpa(frame)), &page))
        panic_machine_check("while a guest ran");
    frames_retire(hpa(frame));
    vcpu->error = (struct mce_error){bank.status, bank.global, page};
    return true;
}
