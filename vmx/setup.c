// VMCS set-up.

#include "vmx/setup.h"

#include "arch/x86_64/registers.h"
#include "lib/panic.h"
#include "lib/string.h"
#include "mm/frames.h"
#include "mm/paging.h"
#include "vm/cr.h"
#include "vmx/apicv.h"
#include "vmx/guard.h"
#include "vmx/instructions.h"
#include "vmx/root.h"
#include "vmx/state.h"
#include "vmx/tlb.h"

extern const uint8_t vmx_exit[], vmx_exit_guarded[];
void vmx_resume(void);
void vmx_launch(void);
void vmx_resume_guarded(void);
void vmx_launch_guarded(void);

static uint8_t *io_bitmaps; // two frames, all ones: every port access exits

status_t setup_shared(void)
{
    io_bitmaps = frames_allocate(2 * PAGE_SIZE, PAGE_SIZE);
    if (!io_bitmaps)
        return STATUS_NO_MEMORY;
    memset(io_bitmaps, 0xff, 2 * PAGE_SIZE);
    return STATUS_OK;
}

// The MSR bitmap has four parts: reads and writes of 0..1FFF and of C0000000..C0001FFF; a clear bit
// passes through.
void setup_pass_msr(uint8_t *bitmap, uint32_t index, bool is_write)
{
    uint32_t part = (is_write ? 2048 : 0) + (index >= 0xc0000000 ? 1024 : 0);
    uint32_t bit = index & 0x1fff;
    bitmap[part + bit / 8] &= (uint8_t)~BIT(bit % 8);
}

status_t setup_vm(struct vmx_vm *vm, struct explanation *why)
{
    static _Atomic uint32_t last_vm;
    vm->msr_bitmap = frame_allocate();
    if (!vm->msr_bitmap)
        return explain(why, STATUS_NO_MEMORY, "no memory for the MSR bitmap");
    memset(vm->msr_bitmap, 0xff, PAGE_SIZE);
    for (const struct msr_row *row = msr_rows; row->width != UINT32_MAX; row++) {
        if (row->feature && !cpuid_has(&vm->vm->cpuid, row->feature))
            continue;
        if (row->pass & PASS_READ)
            setup_pass_msr(vm->msr_bitmap, row->first, false);
        if (row->pass & PASS_WRITE)
            setup_pass_msr(vm->msr_bitmap, row->first, true);
    }
    vm->eptp = ept_pointer(&vm->ept);
    vm->serial = atomic_fetch_add(&last_vm, 1) + 1;
    memcpy(vm->word, machine_choice.word, sizeof(vm->word));
    struct explanation which;
    status_t status = choice_trap(vm->word, &machine_capabilities, vm->vm->config.traps, &which);
    if (status != STATUS_OK)
        return explain(why, status, "%s: %s", vm->vm->config.name, which.text);
    return apicv_setup_vm(vm, why);
}

void setup_release_vm(struct vmx_vm *vm)
{
    apicv_release_vm(vm);
    if (vm->msr_bitmap)
        frame_free(vm->msr_bitmap);
}

// VPIDs are unique in the machine while there are fewer than 65535 vCPUs; 0 is the host's.
static uint16_t next_vpid(void)
{
    static _Atomic uint32_t last;
    return (uint16_t)(atomic_fetch_add(&last, 1) % UINT16_MAX + 1);
}

static hpa_t address_of(const void *pointer)
{
    return hpa((uintptr_t)pointer);
}

static void write_controls(struct vmx_vcpu *vcpu)
{
    const uint64_t *word = vcpu->vm->word;
    vcpu->primary = (uint32_t)word[WORD_PRIMARY] | PRIMARY_MOV_DR_EXITING; // vm/debug.h
    vmwrite(VMCS_PRIMARY_CONTROLS, vcpu->primary);
    vmwrite(VMCS_EXIT_CONTROLS, word[WORD_VMEXIT]);
    vmwrite(VMCS_ENTRY_CONTROLS, word[WORD_VMENTRY]);
    // #DB and #AC can loop for ever in their own delivery (a guest that does so must still be
    // preempted); #MC is ours.
    vmwrite(VMCS_EXCEPTION_BITMAP,
            BIT(VECTOR_DB) | BIT(VECTOR_AC) | BIT(VECTOR_MC) | vcpu->guest.vm->config.trap_vectors);
    vmwrite(VMCS_IO_BITMAP_A, address_of(io_bitmaps).value);
    vmwrite(VMCS_IO_BITMAP_B, address_of(io_bitmaps + PAGE_SIZE).value);
    vmwrite(VMCS_EPT_POINTER, vcpu->vm->eptp);
    vmwrite(VMCS_LINK_POINTER, UINT64_MAX);
    if (machine_uses(FEATURE_VPID))
        vmwrite(VMCS_VPID, vcpu->vpid);
    if (machine_uses(FEATURE_TPR_SHADOW)) {
        vmwrite(VMCS_VIRTUAL_APIC_ADDRESS, address_of(vcpu->guest.lapic.page).value);
        vmwrite(VMCS_TPR_THRESHOLD, 0);
    }
    if (machine_uses(FEATURE_XSAVES))
        vmwrite(VMCS_XSS_EXITING_BITMAP, 0);
    if (machine_uses(FEATURE_PLE)) {
        vmwrite(VMCS_PLE_GAP, 128);
        vmwrite(VMCS_PLE_WINDOW, 4096);
    }
    vmwrite(VMCS_CR3_TARGET_COUNT, 0);
    vmwrite(VMCS_EXIT_MSR_STORE_COUNT, 0);
    vmwrite(VMCS_EXIT_MSR_LOAD_COUNT, 0);
    vmwrite(VMCS_ENTRY_MSR_LOAD_COUNT, 0);
    vmwrite(VMCS_ENTRY_INTERRUPTION_INFORMATION, 0);
    vmwrite(VMCS_PAGE_FAULT_ERROR_CODE_MASK, 0);
    vmwrite(VMCS_PAGE_FAULT_ERROR_CODE_MATCH, 0);
    vmwrite(VMCS_CR0_GUEST_HOST_MASK, cr0_owned(vcpu->guest.vm));
    vmwrite(VMCS_CR4_GUEST_HOST_MASK, cr4_owned(vcpu->guest.vm));
    vmwrite(VMCS_GUEST_ACTIVITY, ACTIVITY_ACTIVE);
}

// Host state that is the same on every CPU. The exit path finds the vCPU by HOST_RSP.
static void write_host_constants(const struct vmx_vcpu *vcpu)
{
    vmwrite(VMCS_HOST_CS_SELECTOR, SELECTOR_CODE);
    vmwrite(VMCS_HOST_SS_SELECTOR, SELECTOR_DATA);
    vmwrite(VMCS_HOST_DS_SELECTOR, SELECTOR_DATA);
    vmwrite(VMCS_HOST_ES_SELECTOR, SELECTOR_DATA);
    vmwrite(VMCS_HOST_FS_SELECTOR, 0);
    vmwrite(VMCS_HOST_GS_SELECTOR, 0);
    vmwrite(VMCS_HOST_TR_SELECTOR, SELECTOR_TSS);
    vmwrite(VMCS_HOST_FS_BASE, 0);
    vmwrite(VMCS_HOST_SYSENTER_CS, 0);
    vmwrite(VMCS_HOST_SYSENTER_ESP, 0);
    vmwrite(VMCS_HOST_SYSENTER_EIP, 0);
    vmwrite(VMCS_HOST_RSP, (uintptr_t)vcpu);
    vmwrite(VMCS_HOST_CR3, vcpu->vm->view);
}

// ... and what differs, written when a vCPU arrives on a CPU.
static void write_host_cpu(struct vmx_cpu *on)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) idtr;
    __asm__ volatile("sidt %0" : "=m"(idtr));
    bool guarded = on->guards & GUARDS_OF_SWITCH;
    vmwrite(VMCS_HOST_RIP, (uintptr_t)(guarded ? vmx_exit_guarded : vmx_exit));
    vmwrite(VMCS_HOST_CR0, read_cr0());
    vmwrite(VMCS_HOST_CR4, read_cr4());
    vmwrite(VMCS_HOST_EFER, rdmsr(MSR_EFER));
    vmwrite(VMCS_HOST_PAT, rdmsr(MSR_PAT));
    vmwrite(VMCS_HOST_GS_BASE, (uintptr_t)on->cpu);
    vmwrite(VMCS_HOST_TR_BASE, (uintptr_t)&on->cpu->tss);
    vmwrite(VMCS_HOST_GDTR_BASE, (uintptr_t)on->cpu->gdt);
    vmwrite(VMCS_HOST_IDTR_BASE, idtr.base);
}

void setup_enter(struct vmx_vcpu *vcpu)
{
    if (vcpu->guards & GUARDS_OF_SWITCH)
        vcpu->enter = vcpu->launched ? vmx_resume_guarded : vmx_launch_guarded;
    else
        vcpu->enter = vcpu->launched ? vmx_resume : vmx_launch;
}

void setup_spoil(struct vmx_vcpu *vcpu)
{
    if (vcpu->vm->serial % 3 == 1)
        vmwrite(VMCS_CR3_TARGET_COUNT, UINT32_MAX);
    else
        vmwrite(VMCS_GUEST_RFLAGS, 0); // bit 1 is always 1
}

static void make_current(struct vmx_vcpu *vcpu)
{
    hpa_t vmcs = address_of(vcpu->vmcs);
    if (!vmptrld(&vmcs))
        panic("VMPTRLD of the VMCS at %#lx failed", vmcs.value);
}

static void clear(struct vmx_vcpu *vcpu)
{
    hpa_t vmcs = address_of(vcpu->vmcs);
    if (!vmclear(&vmcs))
        panic("VMCLEAR of the VMCS at %#lx failed", vmcs.value);
    vcpu->launched = false;
}

status_t setup_vcpu(struct vmx_vcpu *vcpu, struct explanation *why)
{
    uint32_t *vmcs = frame_allocate();
    uint64_t fpu_size = align_up(cpu_xsave_size(), PAGE_SIZE);
    vcpu->guest.fpu = frames_allocate(fpu_size, PAGE_SIZE);
    vcpu->vmcs = vmcs;
    if (!vmcs || !vcpu->guest.fpu)
        return explain(why, STATUS_NO_MEMORY, "no memory for the VMCS of vCPU %u", vcpu->guest.id);
    memset(vcpu->guest.fpu, 0, fpu_size); // vcpu_reset() fills it in
    vmcs[0] = (uint32_t)(vmx_msr(&machine_capabilities, MSR_VMX_BASIC) & BASIC_REVISION);
    vcpu->vpid = next_vpid();
    vcpu->xcr0_host = cpu_xcr0();
    vcpu->timer_rate = machine_capabilities.timer_rate;
    if (machine_uses(FEATURE_PREEMPTION_TIMER)) // else the deadline is looked at after each exit
        vcpu->timer_slack_full = (uint32_t)MIN(host_tsc_hz / 50000, UINT32_MAX); // 20 us
    clear(vcpu);
    return STATUS_OK;
}

void setup_release_vcpu(struct vmx_vcpu *vcpu)
{
    assert(!vcpu->loaded);
    if (vcpu->guest.fpu)
        frames_free(vcpu->guest.fpu, align_up(cpu_xsave_size(), PAGE_SIZE));
    if (vcpu->vmcs)
        frame_free(vcpu->vmcs);
}

#define REGISTER_STATE (STATE_FPU | STATE_DR | STATE_MSR | STATE_XCR0 | STATE_TSC)

void vcpu_load(struct vmx_vcpu *vcpu)
{
    struct vmx_cpu *here = &vmx_cpus[this_cpu()->index];
    if (here->current == vcpu)
        return;
    if (here->current)
        vcpu_unload(here->current);
    guard_switch(here, vcpu->vm);
    bool first = vcpu->cpu == NULL, moved = vcpu->cpu != here;
    make_current(vcpu);
    if (first) {
        write_controls(vcpu);
        write_host_constants(vcpu);
        apicv_follow(vcpu);
    }
    if (moved)
        write_host_cpu(here);
    if (moved || vcpu->ept_generation != vcpu->vm->ept.generation) {
        // What it left here earlier, or another under the same VPID or on tables at the same place,
        // may be stale.
        tlb_flush_vpid(vcpu);
        tlb_flush_ept(vcpu);
    }
    vcpu->cpu = here;
    vcpu->guards = here->guards;
    vcpu->spec_ctrl_host = here->spec_ctrl;
    setup_enter(vcpu);
    vcpu->loaded = true;
    here->current = vcpu;
    vcpu->guest.dirty |= REGISTER_STATE;
    state_write_back(vcpu);
    vcpu->guest.fetched = ALWAYS_VALID;
    write_cr2(vcpu->guest.cr2);
    vcpu->guest.cr2_dirty = false;
    vcpu_note(&vcpu->guest, REQUEST_EVENT | REQUEST_TIMER);
}

void vcpu_unload(struct vmx_vcpu *vcpu)
{
    struct vmx_cpu *here = &vmx_cpus[this_cpu()->index];
    assert(here->current == vcpu && vcpu->cpu == here);
    if (!vcpu->guest.cr2_dirty)
        vcpu->guest.cr2 = read_cr2();
    state_fetch(vcpu, REGISTER_STATE);
    state_write_back(vcpu); // what a handler changed belongs in the VMCS
    clear(vcpu);
    vcpu->loaded = false;
    here->current = NULL;
}
