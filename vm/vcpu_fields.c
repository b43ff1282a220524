// What struct vcpu holds, member by member: see lib/fields.h. For vm/vcpu.c, vm/vcpu_state.c and
// the monitor.
#include "vm/vm.h"

static const struct field segment_fields[] = {
    FIELD(struct segment, base),
    FIELD(struct segment, limit),
    FIELD(struct segment, access),
    FIELD(struct segment, selector),
    {0},
};

static const struct field table_fields[] = {
    FIELD(struct table_register, base),
    FIELD(struct table_register, limit),
    {0},
};

static const struct field msr_live_fields[] = {
    FIELD(struct msr_live, star),
    FIELD(struct msr_live, lstar),
    FIELD(struct msr_live, cstar),
    FIELD(struct msr_live, fmask),
    FIELD(struct msr_live, kernel_gs_base),
    FIELD(struct msr_live, tsc_aux),
    FIELD(struct msr_live, spec_ctrl),
    FIELD_WITHIN(struct msr_live, xss, 0, 0),
    {0},
};

static const struct field msr_state_fields[] = {
    FIELD(struct msr_state, tsc_adjust),
    FIELD(struct msr_state, misc_enable),
    FIELD(struct msr_state, mcg_status),
    FIELD(struct msr_state, mcg_ctl),
    FIELD(struct msr_state, mcg_ext_ctl),
    FIELD_ARRAY(struct msr_state, mce[0]),
    FIELD_ARRAY(struct msr_state, mce[1]),
    FIELD_ARRAY(struct msr_state, mce[2]),
    FIELD_ARRAY(struct msr_state, mce[3]),
    FIELD(struct msr_state, umwait_control),
    FIELD(struct msr_state, mtrr_default),
    FIELD_ARRAY(struct msr_state, mtrr_fixed),
    FIELD_ARRAY(struct msr_state, mtrr_variable),
    FIELD(struct msr_state, kvmclock_system),
    FIELD(struct msr_state, kvmclock_wall),
    FIELD(struct msr_state, kvm_steal),
    FIELD(struct msr_state, kvm_eoi),
    DERIVED(struct msr_state, direct),
    {0},
};

static const struct field event_fields[] = {
    FIELD(struct event, info),
    FIELD(struct event, error),
    FIELD_WITHIN(struct event, length, 0, 15),
    {0},
};

static const struct field events_fields[] = {
    FIELD_ONE(struct events, pending, event_fields),
    DERIVED(struct events, plan), // delivered, or pending again
    FIELD_WITHIN(struct events, nmi_queued, 0, 2),
    FIELD(struct events, nmi_returned),
    FIELD(struct events, nmi_blocked),
    WIRING(struct events, has_virtual_nmi),
    FIELD(struct events, interrupt_held),
    FIELD(struct events, held_vector),
    {0},
};

// The image of what the guest may use: the host's may be larger.
static uint32_t fpu_size(const void *object)
{
    const struct vcpu *vcpu = object;
    return vcpu->fpu ? cpuid_xsave_size(&vcpu->vm->cpuid, vcpu->vm->cpuid.xcr0_allowed) : 0;
}

const struct field vcpu_fields[] = {
    FIELD_ARRAY(struct vcpu, gpr),
    FIELD(struct vcpu, interruptibility),
    FIELD(struct vcpu, rip),
    FIELD(struct vcpu, rflags),
    FIELD(struct vcpu, cr0),
    FIELD(struct vcpu, cr2),
    FIELD(struct vcpu, cr3),
    FIELD(struct vcpu, cr4),
    FIELD(struct vcpu, efer),
    FIELD_EACH(struct vcpu, segment, segment_fields),
    FIELD_ONE(struct vcpu, gdtr, table_fields),
    FIELD_ONE(struct vcpu, idtr, table_fields),
    FIELD_WITHIN(struct vcpu, cpl, 0, 3),
    FIELD(struct vcpu, dr7),
    FIELD(struct vcpu, debugctl),
    FIELD(struct vcpu, pending_debug),
    FIELD_ARRAY(struct vcpu, dr),
    FIELD_WITHIN(struct vcpu, dr6, 0, UINT32_MAX),
    FIELD_WITHIN(struct vcpu, activity, 0, ACTIVITY_STOPPED),
    FIELD(struct vcpu, unhalted),
    FIELD_ONE(struct vcpu, events, events_fields),
    DERIVED(struct vcpu, cr4_mirror),
    DERIVED(struct vcpu, cr2_dirty),
    INIT_KEEPS_THESE,
    FIELD(struct vcpu, sysenter_cs),
    FIELD(struct vcpu, sysenter_esp),
    FIELD(struct vcpu, sysenter_eip),
    FIELD(struct vcpu, pat),
    FIELD_ARRAY(struct vcpu, pdpte),
    FIELD_ONE(struct vcpu, live, msr_live_fields),
    FIELD(struct vcpu, xcr0),
    FIELD_ONE(struct vcpu, msr, msr_state_fields),
    FIELD(struct vcpu, tsc_offset),
    FIELD(struct vcpu, stolen),
    FIELD_BEHIND_OF(struct vcpu, fpu, fpu_size),
    FIELD_WITHIN(struct vcpu, signals, 0, UINT16_MAX), // those behind the INIT that is taken
    FIELD(struct vcpu, posted_error),
    FIELD_ONE(struct vcpu, lapic, lapic_fields), // has a reset of its own
    DERIVED(struct vcpu, fetched),
    DERIVED(struct vcpu, dirty),
    DERIVED(struct vcpu, callers),
    DERIVED(struct vcpu, error),
    WIRING(struct vcpu, requests), // of others; what they may ask for is looked at after a load
    WIRING(struct vcpu, id),
    WIRING(struct vcpu, apic_id),
    WIRING(struct vcpu, vm),
    WIRING(struct vcpu, fpu),
    WIRING(struct vcpu, stats), // of what ran here
    WIRING(struct vcpu, watch),
    WIRING(struct vcpu, debugged),
    {0},
};
