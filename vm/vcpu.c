// A vCPU's state after power-on, INIT and SIPI. Called by whoever builds a VM and by the run loop.
// SDM: "IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT", "MP
// Initialization Protocol Algorithm for MP Systems".
#include "vm/vcpu.h"

#include "lib/string.h"
#include "vm/vm.h"

#define RESET_DR6 UINT64_C(0xffff0ff0)
#define RESET_DR7 UINT64_C(0x400)
#define RESET_PAT UINT64_C(0x0007040600070406)

#define ACCESS_CODE (AR_PRESENT | AR_CODE_DATA | 0xb) // execute, read, accessed
#define ACCESS_DATA (AR_PRESENT | AR_CODE_DATA | 0x3) // read, write, accessed
#define ACCESS_LDT  (AR_PRESENT | 0x2)
#define ACCESS_TSS  (AR_PRESENT | 0xb) // 32-bit, busy

// The legacy region and the header of an XSAVE image.
struct fpu_image {
    uint16_t fcw;
    uint16_t fsw;
    uint8_t ftw; // abridged: a bit set is a register in use
    uint8_t reserved[19];
    uint32_t mxcsr;
    uint8_t registers[484];
    uint64_t xstate_bv;
    uint64_t header[7];
};
_Static_assert(sizeof(struct fpu_image) == 576, "as XSAVE stores it");
_Static_assert(offsetof(struct fpu_image, mxcsr) == 24, "as XSAVE stores it");

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
    vcpu->cpl = 0;
}

// What INIT leaves alone.
static void reset_kept_by_init(struct vcpu *vcpu)
{
    vcpu->sysenter_cs = vcpu->sysenter_esp = vcpu->sysenter_eip = 0;
    vcpu->pat = RESET_PAT;
    memset(vcpu->pdpte, 0, sizeof(vcpu->pdpte));
    vcpu->xcr0 = 1;
    vcpu->live = (struct msr_live){0};
    msr_reset(vcpu);

    uint32_t groups = STATE_SYSTEM | STATE_XCR0 | STATE_MSR | STATE_TSC;
    struct fpu_image *fpu = vcpu->fpu;
    if (fpu) {
        memset(fpu, 0, sizeof(*fpu));
        fpu->fcw = 0x40;
        fpu->ftw = 0xff; // +0.0 in each, not empty
        fpu->mxcsr = 0x1f80;
        // x87 as given here, all else in its initial configuration. FXSAVE will not keep this: all
        // that it stores counts.
        fpu->xstate_bv = cpuid_has(&vcpu->vm->cpuid, CPUID_XSAVE) ? 1 : 3;
        groups |= STATE_FPU;
    }
    vcpu->fetched |= groups;
    vcpu->dirty |= groups;
}

void vcpu_reset(struct vcpu *vcpu, bool is_init)
{
    uint64_t kept_cr0 = is_init ? vcpu->cr0 & (CR0_CD | CR0_NW) : CR0_CD | CR0_NW;

    memset(vcpu->gpr, 0, sizeof(vcpu->gpr));
    vcpu->gpr[RDX] = cpuid_find(&vcpu->vm->cpuid.leaves, 1, 0)->eax;
    vcpu->rip = 0xfff0;
    vcpu->rflags = RFLAGS_FIXED;
    vcpu->interruptibility = 0;
    vcpu->cr0 = kept_cr0 | CR0_ET;
    vcpu->cr2 = vcpu->cr3 = vcpu->cr4 = vcpu->efer = 0;
    vcpu->cr2_dirty = true;
    vcpu_mirror_cr4(vcpu);
    reset_segments(vcpu);
    vcpu->dr7 = RESET_DR7;
    vcpu->debugctl = vcpu->pending_debug = 0;
    memset(vcpu->dr, 0, sizeof(vcpu->dr));
    vcpu->dr6 = RESET_DR6;

    uint32_t groups = STATE_FLOW | STATE_STACK | STATE_CONTROL | STATE_SEGMENTS | STATE_DEBUG |
                      STATE_MODE | STATE_DR;
    vcpu->fetched |= groups;
    vcpu->dirty |= groups;
    if (!is_init)
        reset_kept_by_init(vcpu);

    vcpu->events = (struct events){.has_virtual_nmi = vcpu->events.has_virtual_nmi};
    vcpu->activity = vcpu->id == 0 ? ACTIVITY_ACTIVE : ACTIVITY_WAIT_FOR_SIPI;
    vcpu->unhalted = false;
    vcpu->msr.kvm_steal = 0;
    lapic_reset(vcpu, is_init);
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

void vcpu_take_requests(struct vcpu *vcpu, uint32_t requests)
{
    if (requests & REQUEST_MACHINE_CHECK)
        mce_take(vcpu);
    if (requests & REQUEST_INIT) {
        vcpu_reset(vcpu, true);
        vcpu_note(vcpu,
                  REQUEST_FLUSH_TLB); // translations made with paging on must not serve without
    }
    if (requests & REQUEST_SIPI)
        vcpu_sipi(vcpu, __atomic_load_n(&vcpu->sipi_vector, __ATOMIC_RELAXED));
    if (requests & REQUEST_UNHALT)
        vcpu->unhalted = true;
    // A vCPU that waits for a SIPI takes no NMI.
    if ((requests & REQUEST_NMI) && vcpu->activity != ACTIVITY_WAIT_FOR_SIPI)
        event_queue_nmi(vcpu);
}
