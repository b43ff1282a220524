// See vmcs_state.h.

#include "tests/fuzz/vmcs_state.h"

#include "vmx/policy/guest_state.h"

void vmcs_state_fetch(struct vcpu *vcpu, const struct vmcs_image *image, uint8_t unlike)
{
    const uint64_t *v = image->value;
    for (unsigned i = 0; i < GUEST_SEGMENT_FIELDS; i++)
        guest_field_set(vcpu, &guest_segments[i], v[guest_segments[i].encoding]);
    for (unsigned i = 0; i < GUEST_SYSTEM_FIELDS; i++)
        guest_field_set(vcpu, &guest_system[i], v[guest_system[i].encoding]);
    for (unsigned i = 0; i < GUEST_DEBUG_FIELDS; i++)
        guest_field_set(vcpu, &guest_debug[i], v[guest_debug[i].encoding]);
    vcpu->cpl = FIELD_GET(AR_DPL, vcpu->segment[SS].access);
    vcpu->cr0 = v[VMCS_GUEST_CR0] & ~(unlike & 4 ? CR0_NE : 0);
    vcpu->cr0 |= (unlike & 1 ? CR0_CD : 0) | ((unlike & 3) == 3 ? CR0_NW : 0);
    vcpu->cr4 = v[VMCS_GUEST_CR4] & ~(CR4_VMXE | (unlike & 8 ? CR4_MCE : 0));
    vcpu->cr3 = v[VMCS_GUEST_CR3];
    vcpu->efer = v[VMCS_GUEST_EFER];
    vcpu->rip = v[VMCS_GUEST_RIP];
    vcpu->rflags = v[VMCS_GUEST_RFLAGS];
    vcpu->interruptibility = v[VMCS_GUEST_INTERRUPTIBILITY];
    vcpu_mirror_cr4(vcpu);
}

void vmcs_state_write(struct vmcs_image *image, const struct vcpu *vcpu,
                      const struct vmcs_config *config)
{
    uint64_t *v = image->value;
    const struct entry_plan *plan = &vcpu->events.plan;
    for (unsigned i = 0; i < GUEST_SEGMENT_FIELDS; i++)
        v[guest_segments[i].encoding] = guest_field_get(vcpu, &guest_segments[i]);
    for (unsigned i = 0; i < GUEST_SYSTEM_FIELDS; i++)
        v[guest_system[i].encoding] = guest_field_get(vcpu, &guest_system[i]);
    for (unsigned i = 0; i < GUEST_DEBUG_FIELDS; i++)
        v[guest_debug[i].encoding] = guest_field_get(vcpu, &guest_debug[i]);
    v[VMCS_GUEST_CR0] = (vcpu->cr0 & ~(CR0_CD | CR0_NW)) | CR0_NE | CR0_ET;
    v[VMCS_GUEST_CR4] = vcpu->cr4 | CR4_VMXE | CR4_MCE;
    v[VMCS_GUEST_CR3] = vcpu->cr3;
    v[VMCS_GUEST_EFER] = vcpu->efer;
    v[VMCS_ENTRY_CONTROLS] =
        config->word[WORD_VMENTRY] | (vcpu->efer & EFER_LMA ? VMENTRY_IA32E_GUEST : 0);
    v[VMCS_GUEST_RIP] = vcpu->rip;
    v[VMCS_GUEST_RFLAGS] = vcpu->rflags;
    v[VMCS_GUEST_INTERRUPTIBILITY] = vcpu->interruptibility & ~(uint64_t)BLOCKING_BY_TRAP;
    v[VMCS_ENTRY_INTERRUPTION_INFORMATION] = plan->inject.info;
    v[VMCS_ENTRY_EXCEPTION_ERROR_CODE] = plan->inject.error;
    v[VMCS_ENTRY_INSTRUCTION_LENGTH] = plan->inject.length;
    v[VMCS_PRIMARY_CONTROLS] = config->word[WORD_PRIMARY] |
                               (plan->interrupt_window ? PRIMARY_INTERRUPT_WINDOW_EXITING : 0) |
                               (plan->nmi_window ? PRIMARY_NMI_WINDOW_EXITING : 0);
}
