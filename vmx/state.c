// State synchronisation: fewest VMREADs and VMWRITEs, each group at most once an exit.

#include "vmx/state.h"

#include "arch/x86_64/registers.h"
#include "vm/cpu/debug.h"
#include "vmx/instructions.h"
#include "vmx/policy/guest_state.h"
#include "vmx/policy/speculation.h"

static void fetch_fields(struct vcpu *vcpu, const struct guest_field *field, unsigned count)
{
    for (; count > 0; count--, field++)
        guest_field_set(vcpu, field, vmread((enum vmcs_field)field->encoding));
}

static void write_fields(const struct vcpu *vcpu, const struct guest_field *field, unsigned count)
{
    for (; count > 0; count--, field++)
        vmwrite((enum vmcs_field)field->encoding, guest_field_get(vcpu, field));
}

// What most handlers want of the segments. Where Corbel is nested, these two are shadowed; each of
// the others' VMREADs is an exit.
static void fetch_mode(struct vcpu *vcpu)
{
    vcpu->segment[CS].access = vmread32(VMCS_GUEST_ACCESS_RIGHTS(CS));
    vcpu->cpl = FIELD_GET(AR_DPL, vmread32(VMCS_GUEST_ACCESS_RIGHTS(SS)));
}

// Bits that we own are in the shadow as the guest last wrote them; the others are in the register.
// Of EFER, whose writes exit, only LMA changes without us: with CR0.PG.
static void fetch_control(struct vcpu *vcpu)
{
    uint64_t cr0_mask = vmx_cr0_owned(), cr4_mask = cr4_owned(vcpu->vm);
    vcpu->cr0 = (vmread(VMCS_GUEST_CR0) & ~cr0_mask) | (vmread(VMCS_CR0_READ_SHADOW) & cr0_mask);
    vcpu->cr4 = (vmread(VMCS_GUEST_CR4) & ~cr4_mask) | (vmread(VMCS_CR4_READ_SHADOW) & cr4_mask);
    vcpu->cr3 = vmread(VMCS_GUEST_CR3);
    bool in_long_mode = (vcpu->cr0 & CR0_PG) && (vcpu->efer & EFER_LME);
    vcpu->efer = (vcpu->efer & ~EFER_LMA) | (in_long_mode ? EFER_LMA : 0);
}

static void write_control(struct vcpu *vcpu)
{
    // Caches stay on and NE set whatever the guest asks for; VMXE and MCE are always on.
    vmwrite(VMCS_GUEST_CR0, (vcpu->cr0 & ~(CR0_CD | CR0_NW)) | CR0_NE | CR0_ET);
    vmwrite(VMCS_CR0_READ_SHADOW, vcpu->cr0);
    vmwrite(VMCS_GUEST_CR4, vcpu->cr4 | CR4_VMXE | CR4_MCE);
    vmwrite(VMCS_CR4_READ_SHADOW, vcpu->cr4);
    vmwrite(VMCS_GUEST_CR3, vcpu->cr3);
    vmwrite(VMCS_GUEST_EFER, vcpu->efer);
    vmwrite(VMCS_ENTRY_CONTROLS, vmx_vcpu(vcpu)->vm->word[WORD_VMENTRY] |
                                     (vcpu->efer & EFER_LMA ? VMENTRY_IA32E_GUEST : 0));
}

static void fetch_debug_registers(struct vcpu *vcpu)
{
    vcpu->dr[0] = read_dr0();
    vcpu->dr[1] = read_dr1();
    vcpu->dr[2] = read_dr2();
    vcpu->dr[3] = read_dr3();
    vcpu->dr6 = read_dr6();
}

static void write_debug_registers(const struct vcpu *vcpu)
{
    write_dr0(vcpu->dr[0]);
    write_dr1(vcpu->dr[1]);
    write_dr2(vcpu->dr[2]);
    write_dr3(vcpu->dr[3]);
    write_dr6(vcpu->dr6);
}

static void fetch_live_msrs(struct msr_live *live)
{
    live->star = rdmsr(MSR_STAR);
    live->lstar = rdmsr(MSR_LSTAR);
    live->cstar = rdmsr(MSR_CSTAR);
    live->fmask = rdmsr(MSR_FMASK);
    live->kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE);
    if (vmx_uses(FEATURE_RDTSCP))
        live->tsc_aux = rdmsr(MSR_TSC_AUX);
    if (vmx_uses(FEATURE_XSAVES))
        live->xss = rdmsr(MSR_XSS);
}

static void write_live_msrs(const struct vmx_vcpu *v)
{
    const struct msr_live *live = &v->guest.live;
    wrmsr(MSR_STAR, live->star);
    wrmsr(MSR_LSTAR, live->lstar);
    wrmsr(MSR_CSTAR, live->cstar);
    wrmsr(MSR_FMASK, live->fmask);
    wrmsr(MSR_KERNEL_GS_BASE, live->kernel_gs_base);
    if (vmx_uses(FEATURE_RDTSCP))
        wrmsr(MSR_TSC_AUX, live->tsc_aux);
    if (vmx_uses(FEATURE_XSAVES))
        wrmsr(MSR_XSS, live->xss);
    // The guest's writes exit: what Corbel wants set stays set in the guest too, and no exit has to
    // set it. Where that is too slow for guests the world switch writes both values.
    if ((v->mitigations & (MITIGATION_SPEC_CTRL | MITIGATION_IBRS)) == MITIGATION_SPEC_CTRL)
        wrmsr(MSR_SPEC_CTRL, live->spec_ctrl | v->spec_ctrl_host);
}

// The whole image goes in and out, with every component that the host has enabled: what a guest
// left in registers that its XCR0 hides must not reach the next one.
static void fetch_fpu(struct vmx_vcpu *vcpu)
{
    if (!vcpu->xcr0_host) {
        fxsave(vcpu->guest.fpu);
        return;
    }
    xsetbv(0, vcpu->xcr0_host);
    xsave(vcpu->guest.fpu, vcpu->xcr0_host);
    xsetbv(0, vcpu->guest.xcr0);
}

static void write_fpu(struct vmx_vcpu *vcpu)
{
    if (!vcpu->xcr0_host) {
        fxrstor(vcpu->guest.fpu);
        return;
    }
    xsetbv(0, vcpu->xcr0_host);
    xrstor(vcpu->guest.fpu, vcpu->xcr0_host);
    xsetbv(0, vcpu->guest.xcr0);
}

void state_fetch(struct vmx_vcpu *v, uint32_t groups)
{
    struct vcpu *vcpu = &v->guest;
    uint32_t have = vcpu->fetched | vcpu->dirty; // dirty: ours is newer
    uint32_t wanted = groups & ~have;
    if (wanted & STATE_FLOW) {
        vcpu->rip = vmread(VMCS_GUEST_RIP);
        vcpu->rflags = vmread(VMCS_GUEST_RFLAGS);
        vcpu->interruptibility = vmread32(VMCS_GUEST_INTERRUPTIBILITY);
    }
    if (wanted & STATE_STACK)
        vcpu->gpr[RSP] = vmread(VMCS_GUEST_RSP);
    if (wanted & STATE_CONTROL)
        fetch_control(vcpu);
    if (wanted & STATE_SEGMENTS) {
        fetch_fields(vcpu, guest_segments, GUEST_SEGMENT_FIELDS);
        vcpu->cpl = FIELD_GET(AR_DPL, vcpu->segment[SS].access);
    } else if ((wanted & STATE_MODE) && !(have & STATE_SEGMENTS))
        fetch_mode(vcpu);
    if (wanted & STATE_DEBUG)
        fetch_fields(vcpu, guest_debug, GUEST_DEBUG_FIELDS);
    if (wanted & STATE_SYSTEM)
        fetch_fields(vcpu, guest_system, GUEST_SYSTEM_FIELDS);
    if (wanted & STATE_FPU)
        fetch_fpu(v);
    if (wanted & STATE_DR)
        fetch_debug_registers(vcpu);
    if (wanted & STATE_MSR)
        fetch_live_msrs(&vcpu->live);
    vcpu->fetched |= wanted | (wanted & STATE_SEGMENTS ? STATE_MODE : 0);
}

void state_write_back(struct vmx_vcpu *v)
{
    struct vcpu *vcpu = &v->guest;
    uint32_t dirty = vcpu->dirty;
    if (dirty & STATE_FLOW) {
        vmwrite(VMCS_GUEST_RIP, vcpu->rip);
        vmwrite(VMCS_GUEST_RFLAGS, vcpu->rflags);
        vmwrite(VMCS_GUEST_INTERRUPTIBILITY, vcpu->interruptibility & ~(uint64_t)BLOCKING_BY_TRAP);
    }
    if (dirty & STATE_STACK)
        vmwrite(VMCS_GUEST_RSP, vcpu->gpr[RSP]);
    if (dirty & STATE_CONTROL)
        write_control(vcpu);
    if (dirty & STATE_SEGMENTS)
        write_fields(vcpu, guest_segments, GUEST_SEGMENT_FIELDS);
    if (dirty & STATE_DEBUG)
        write_fields(vcpu, guest_debug, GUEST_DEBUG_FIELDS);
    if (dirty & STATE_SYSTEM)
        write_fields(vcpu, guest_system, GUEST_SYSTEM_FIELDS);
    if (dirty & STATE_TSC)
        vmwrite(VMCS_TSC_OFFSET, vcpu->tsc_offset);
    if (dirty & STATE_XCR0 && v->xcr0_host)
        xsetbv(0, vcpu->xcr0);
    if (dirty & STATE_FPU)
        write_fpu(v);
    if (dirty & STATE_DR)
        write_debug_registers(vcpu);
    if (dirty & STATE_MSR)
        write_live_msrs(v);
    vcpu->dirty &= STATE_STICKY;
}

void state_end_instruction(struct vcpu *vcpu)
{
    if (vcpu->interruptibility & BLOCKING_BY_MOV_SS)
        state_fetch(vmx_vcpu(vcpu), STATE_DEBUG); // what the shadow held back comes now
    if (vcpu->interruptibility & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS)) {
        vcpu->interruptibility &= ~(BLOCKING_BY_STI | BLOCKING_BY_MOV_SS);
        vmwrite(VMCS_GUEST_INTERRUPTIBILITY, vcpu->interruptibility & ~(uint64_t)BLOCKING_BY_TRAP);
    }
    if (vcpu->rflags & RFLAGS_RF) {
        vcpu->rflags &= ~RFLAGS_RF;
        vmwrite(VMCS_GUEST_RFLAGS, vcpu->rflags);
    }
    if (!(vcpu->rflags & RFLAGS_TF))
        return;
    state_fetch(vmx_vcpu(vcpu), STATE_DEBUG);
    debug_step(vcpu, false);
}
