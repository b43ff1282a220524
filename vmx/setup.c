// VMCS set-up.

#include "vmx/setup.h"

#include "lib/panic.h"
#include "lib/string.h"
#include "mm/tables/frames.h"
#include "mm/paging.h"
#include "vmx/apicv.h"
#include "vmx/instructions.h"
#include "vmx/ram.h"

static uint8_t *io_bitmaps; // two frames, all ones: every port access exits

status_t setup_shared(void)
{
    io_bitmaps = frames_allocate(2 * PAGE_SIZE, PAGE_SIZE, FRAMES_CORBEL);
    if (!io_bitmaps)
        return STATUS_NO_MEMORY;
    memset(io_bitmaps, 0xff, 2 * PAGE_SIZE);
    return STATUS_OK;
}

status_t setup_vm(struct vmx_vm *vm, struct explanation *why)
{
    static _Atomic uint32_t last_vm;
    vm->msr_bitmap = frame_allocate(vm->vm->id);
    if (!vm->msr_bitmap)
        return explain(why, STATUS_NO_MEMORY, "no memory for the MSR bitmap");
    memset(vm->msr_bitmap, 0xff, PAGE_SIZE);
    for (const struct msr_row *row = msr_rows; row->width != UINT32_MAX; row++) {
        if (row->feature && !cpuid_has(&vm->vm->cpuid, row->feature))
            continue;
        if (row->pass & PASS_READ)
            msr_bitmap_pass(vm->msr_bitmap, row->first, false);
        if (row->pass & PASS_WRITE)
            msr_bitmap_pass(vm->msr_bitmap, row->first, true);
    }
    ram_setup(vm);
    vm->eptp = ept_pointer(&vm->ept, vmx_uses(FEATURE_EPT_AD));
    vm->serial = atomic_fetch_add(&last_vm, 1) + 1;
    memcpy(vm->word, host_vmcs_config.word, sizeof(vm->word));
    vmcs_config_hide(vm->word, &host_capabilities, &vm->vm->cpuid);
    status_t status = vmcs_config_trap(vm->word, &host_capabilities, vm->vm->traits.traps, why);
    return status == STATUS_OK ? apicv_setup_vm(vm, why) : status;
}

void setup_release_vm(struct vmx_vm *vm)
{
    apicv_release_vm(vm);
    if (vm->msr_bitmap)
        frame_free(vm->msr_bitmap, vm->vm->id);
}

// VPIDs are unique in the machine while there are fewer than 65535 vCPUs; 0 is the host's.
static uint16_t next_vpid(void)
{
    static _Atomic uint32_t last;
    return (uint16_t)(atomic_fetch_add(&last, 1) % UINT16_MAX + 1);
}

// #DB and #AC can loop for ever in their own delivery (a guest that does so must still be
// preempted); #MC is ours; #BP may be a debugger's.
void setup_exceptions(struct vmx_vcpu *vcpu)
{
    vmwrite(VMCS_EXCEPTION_BITMAP, BIT(VECTOR_DB) | BIT(VECTOR_AC) | BIT(VECTOR_MC) |
                                       (vcpu->guest.debugged ? BIT(VECTOR_BP) : 0) |
                                       vcpu->guest.vm->traits.trap_vectors);
}

static void write_controls(struct vmx_vcpu *vcpu)
{
    const uint64_t *word = vcpu->vm->word;
    vcpu->primary = (uint32_t)word[WORD_PRIMARY] | PRIMARY_MOV_DR_EXITING; // vm/cpu/debug.h
    vmwrite(VMCS_PRIMARY_CONTROLS, vcpu->primary);
    vmwrite(VMCS_EXIT_CONTROLS, word[WORD_VMEXIT]);
    vmwrite(VMCS_ENTRY_CONTROLS, word[WORD_VMENTRY]);
    setup_exceptions(vcpu);
    vmwrite(VMCS_IO_BITMAP_A, (uintptr_t)io_bitmaps);
    vmwrite(VMCS_IO_BITMAP_B, (uintptr_t)io_bitmaps + PAGE_SIZE);
    vmwrite(VMCS_EPT_POINTER, vcpu->vm->eptp);
    vmwrite(VMCS_LINK_POINTER, UINT64_MAX);
    if (vmx_uses(FEATURE_VPID))
        vmwrite(VMCS_VPID, vcpu->vpid);
    if (vmx_uses(FEATURE_TPR_SHADOW)) {
        vmwrite(VMCS_VIRTUAL_APIC_ADDRESS, (uintptr_t)vcpu->guest.lapic.page);
        vmwrite(VMCS_TPR_THRESHOLD, 0);
    }
    if (vmx_uses(FEATURE_XSAVES))
        vmwrite(VMCS_XSS_EXITING_BITMAP, 0);
    if (vmx_uses(FEATURE_PLE)) {
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
    vmwrite(VMCS_CR0_GUEST_HOST_MASK, vmx_cr0_owned());
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

void setup_vmcs(struct vmx_vcpu *vcpu)
{
    write_controls(vcpu);
    if (vcpu->pml) {
        vmwrite(VMCS_PML_ADDRESS, (uintptr_t)vcpu->pml);
        vmwrite(VMCS_GUEST_PML_INDEX, PML_ENTRIES - 1);
    }
    write_host_constants(vcpu);
}

status_t setup_vcpu(struct vmx_vcpu *vcpu, struct explanation *why)
{
    unsigned owner = vcpu->guest.vm->id;
    uint32_t *vmcs = frame_allocate(owner);
    uint64_t fpu_size = align_up(cpu_xsave_size(), PAGE_SIZE);
    vcpu->guest.fpu = frames_allocate(fpu_size, PAGE_SIZE, owner);
    vcpu->vmcs = vmcs;
    if (vmx_uses(FEATURE_PML) && (vcpu->pml = frame_allocate(owner)))
        memset((void *)vcpu->pml, 0xff, PAGE_SIZE); // PML_EMPTY
    if (!vmcs || !vcpu->guest.fpu || (vmx_uses(FEATURE_PML) && !vcpu->pml))
        return explain(why, STATUS_NO_MEMORY, "no memory for the VMCS of vCPU %u", vcpu->guest.id);
    memset(vcpu->guest.fpu, 0, fpu_size); // vcpu_reset() fills it in
    vmcs[0] = (uint32_t)(vmx_msr(&host_capabilities, MSR_VMX_BASIC) & BASIC_REVISION);
    vcpu->vpid = next_vpid();
    vcpu->xcr0_host = cpu_xcr0();
    vcpu->timer_rate = host_capabilities.timer_rate;
    if (vmx_uses(FEATURE_PREEMPTION_TIMER)) // else the deadline is looked at after each exit
        vcpu->timer_slack_full = (uint32_t)MIN(host_tsc_hz / 50000, UINT32_MAX); // 20 us
    return STATUS_OK;
}

void setup_release_vcpu(struct vmx_vcpu *vcpu)
{
    assert(!vcpu->loaded);
    if (vcpu->guest.fpu)
        frames_free(vcpu->guest.fpu, align_up(cpu_xsave_size(), PAGE_SIZE), vcpu->guest.vm->id);
    if (vcpu->pml)
        frame_free((void *)vcpu->pml, vcpu->guest.vm->id);
    if (vcpu->vmcs)
        frame_free(vcpu->vmcs, vcpu->guest.vm->id);
}
