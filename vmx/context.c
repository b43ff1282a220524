// The switch from one vCPU to another: VMCS, registers, and what they must not leave behind.

#include "vmx/context.h"

#include "arch/x86_64/registers.h"
#include "lib/panic.h"
#include "vmx/apicv.h"
#include "vmx/instructions.h"
#include "vmx/mitigations.h"
#include "vmx/setup.h"
#include "vmx/state.h"
#include "vmx/tlb.h"

extern const uint8_t vmx_exit[], vmx_exit_mitigated[];
void vmx_resume(void);
void vmx_launch(void);
void vmx_resume_mitigated(void);
void vmx_launch_mitigated(void);

// Host state that differs from one CPU to the next: written when a vCPU arrives.
static void write_host_cpu(struct vmx_cpu *on)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) idtr;
    __asm__ volatile("sidt %0" : "=m"(idtr));
    bool mitigated = on->mitigations & MITIGATIONS_OF_SWITCH;
    vmwrite(VMCS_HOST_RIP, (uintptr_t)(mitigated ? vmx_exit_mitigated : vmx_exit));
    vmwrite(VMCS_HOST_CR0, read_cr0());
    vmwrite(VMCS_HOST_CR4, read_cr4());
    vmwrite(VMCS_HOST_EFER, rdmsr(MSR_EFER));
    vmwrite(VMCS_HOST_PAT, rdmsr(MSR_PAT));
    vmwrite(VMCS_HOST_GS_BASE, (uintptr_t)on->cpu);
    vmwrite(VMCS_HOST_TR_BASE, (uintptr_t)&on->cpu->tss);
    vmwrite(VMCS_HOST_GDTR_BASE, (uintptr_t)on->cpu->gdt);
    vmwrite(VMCS_HOST_IDTR_BASE, idtr.base);
}

void context_choose_entry(struct vmx_vcpu *vcpu)
{
    if (vcpu->mitigations & MITIGATIONS_OF_SWITCH)
        vcpu->enter = vcpu->launched ? vmx_resume_mitigated : vmx_launch_mitigated;
    else
        vcpu->enter = vcpu->launched ? vmx_resume : vmx_launch;
}

void context_spoil(struct vmx_vcpu *vcpu)
{
    if (vcpu->vm->serial % 3 == 1)
        vmwrite(VMCS_CR3_TARGET_COUNT, UINT32_MAX);
    else
        vmwrite(VMCS_GUEST_RFLAGS, 0); // bit 1 is always 1
}

static void make_current(struct vmx_vcpu *vcpu)
{
    hpa_t vmcs = hpa((uintptr_t)vcpu->vmcs);
    if (!vmptrld(&vmcs))
        panic("VMPTRLD of the VMCS at %#lx failed", vmcs.value);
}

static void clear(struct vmx_vcpu *vcpu)
{
    hpa_t vmcs = hpa((uintptr_t)vcpu->vmcs);
    if (!vmclear(&vmcs))
        panic("VMCLEAR of the VMCS at %#lx failed", vmcs.value);
    vcpu->launched = false;
}

#define REGISTER_STATE (STATE_FPU | STATE_DR | STATE_MSR | STATE_XCR0 | STATE_TSC)

void vcpu_load(struct vmx_vcpu *vcpu)
{
    struct vmx_cpu *here = &vmx_cpus[this_cpu()->index];
    if (here->current == vcpu)
        return;
    if (here->current)
        vcpu_unload(here->current);
    mitigations_switch(here, vcpu->vm);
    bool first = vcpu->cpu == NULL, moved = vcpu->cpu != here;
    if (first)
        clear(vcpu);
    make_current(vcpu);
    if (first) {
        setup_vmcs(vcpu);
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
    vcpu->mitigations = here->mitigations;
    vcpu->spec_ctrl_host = here->spec_ctrl;
    context_choose_entry(vcpu);
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
