// A vCPU's state after power-on, INIT and SIPI. Called by whoever builds a VM and by the run loop.
// SDM: "IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT", "MP
// Initialization Protocol Algorithm for MP Systems".
#include "vm/vcpu.h"

#include "vm/debugger.h"
#include "vm/fpu_image.h"
#include "vm/signal.h"
#include "vm/vm.h"

#define RESET_DR6 UINT64_C(0xffff0ff0)
#define RESET_DR7 UINT64_C(0x400)
#define RESET_PAT UINT64_C(0x0007040600070406)

#define ACCESS_CODE (AR_PRESENT | AR_CODE_DATA | 0xb) // execute, read, accessed
#define ACCESS_DATA (AR_PRESENT | AR_CODE_DATA | 0x3) // read, write, accessed
#define ACCESS_LDT  (AR_PRESENT | 0x2)
#define ACCESS_TSS  (AR_PRESENT | 0xb) // 32-bit, busy

static void reset_segments(struct vcpu *vcpu)
{
    for (unsigned i = ES; i <= GS; i++)
        vcpu->segment[i] = (struct segment){.limit = 0xffff, .access = ACCESS_DATA};
    vcpu->segment[CS] = (struct segment){
        .selector = 0xf000, .base = 0xffff0000, .limit = 0xffff, .access = ACCESS_CODE};
    vcpu->segment[LDTR] = (struct segment){.limit = 0xffff, .access = ACCESS_LDT};
    vcpu->segment[TR] = (struct segment){.limit = 0xffff, .access = ACCESS_TSS};
    vcpu->gdtr = (struct table_register){.limit = 0xffff};
    vcpu->idtr = (struct table_register){.limit = 0xffff};
}

// What INIT leaves alone.
static uint32_t reset_kept_by_init(struct vcpu *vcpu)
{
    struct fpu_image *fpu = vcpu->fpu;
    vcpu->pat = RESET_PAT;
    vcpu->xcr0 = 1;
    msr_reset(vcpu);
    if (!fpu)
        return STATE_SYSTEM | STATE_XCR0 | STATE_MSR | STATE_TSC;
    fpu->fcw = 0x40;
    fpu->ftw = 0xff; // +0.0 in each, not empty
    fpu->mxcsr = 0x1f80;
    // x87 as given here, all else in its initial configuration. FXSAVE will not keep this: all
    // that it stores counts.
    fpu->xstate_bv = cpuid_has(&vcpu->vm->cpuid, CPUID_XSAVE) ? 1 : 3;
    return STATE_SYSTEM | STATE_XCR0 | STATE_MSR | STATE_TSC | STATE_FPU;
}

void vcpu_reset(struct vcpu *vcpu, bool is_init)
{
    uint64_t kept_cr0 = is_init ? vcpu->cr0 & (CR0_CD | CR0_NW) : CR0_CD | CR0_NW;
    uint32_t groups = STATE_FLOW | STATE_STACK | STATE_CONTROL | STATE_SEGMENTS | STATE_DEBUG |
                      STATE_MODE | STATE_DR;
    lapic_withdraw_eoi(vcpu);
    fields_clear(vcpu_fields, vcpu, is_init);
    vcpu->gpr[RDX] = cpuid_find(&vcpu->vm->cpuid.leaves, 1, 0)->eax;
    vcpu->rip = 0xfff0;
    vcpu->rflags = RFLAGS_FIXED;
    vcpu->cr0 = kept_cr0 | CR0_ET;
    vcpu->cr2_dirty = true;
    reset_segments(vcpu);
    vcpu->dr7 = RESET_DR7;
    vcpu->dr6 = RESET_DR6;
    if (!is_init)
        groups |= reset_kept_by_init(vcpu);
    vcpu->fetched |= groups;
    vcpu->dirty |= groups;
    vcpu->activity = vcpu->id == 0 ? ACTIVITY_ACTIVE : ACTIVITY_WAIT_FOR_SIPI;
    vcpu->msr.kvm_steal = 0;
    lapic_reset(vcpu, is_init);
    if (vcpu->debugged)
        debugged_reset(vcpu);
}

void vcpu_sipi(struct vcpu *vcpu, uint8_t vector)
{
    if (vcpu->activity != ACTIVITY_WAIT_FOR_SIPI)
        return;
    vcpu->segment[CS].selector = (uint16_t)(vector << 8);
    vcpu->segment[CS].base = (uint64_t)vector << 12;
    vcpu->rip = 0;
    vcpu->dirty |= STATE_FLOW | STATE_SEGMENTS;
    vcpu->activity = ACTIVITY_ACTIVE;
}

static void take_signals(struct vcpu *vcpu)
{
    uint32_t signals = atomic_exchange(&vcpu->signals, 0);
    uint32_t nmis = FIELD_GET(SIGNAL_NMIS_BEHIND, signals);
    if (signals & SIGNAL_INIT) {
        vcpu_reset(vcpu, true);
        // Translations made with paging on must not serve without.
        vcpu_note(vcpu, REQUEST_FLUSH_TLB);
    }
    if (vcpu->activity != ACTIVITY_WAIT_FOR_SIPI)
        nmis += FIELD_GET(SIGNAL_NMIS, signals);
    if (signals & SIGNAL_SIPI)
        vcpu_sipi(vcpu, (uint8_t)(signals & SIGNAL_VECTOR));
    while (nmis-- > 0)
        event_queue_nmi(vcpu);
}

void vcpu_take_requests(struct vcpu *vcpu, uint32_t requests)
{
    if (requests & REQUEST_MACHINE_CHECK)
        mce_take(vcpu);
    if (requests & REQUEST_SIGNAL)
        take_signals(vcpu);
    if (requests & REQUEST_UNHALT)
        vcpu->unhalted = true;
}
