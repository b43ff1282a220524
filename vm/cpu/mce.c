// The machine-check banks of a vCPU, and what is put into them. See mce.h; called by vm/cpu/msr.c,
// exits/exception.c and, for what is posted, by the run loop.

#include "vm/cpu/mce.h"

#include "vm/vm.h"

#define MCG_CTL 0x17b

enum mce_register { CTL, STATUS, ADDR, MISC };

#define BANK 1 // the data cache's, where most of it is noticed

#define MCG_RIPV BIT(0)
#define MCG_EIPV BIT(1)
#define MCG_MCIP BIT(2)
#define MCG_LMCE BIT(3)

#define STATUS_VALID    BIT(63)
#define STATUS_OVERFLOW BIT(62)
#define STATUS_ERROR    (STATUS_VALID | BITS(61, 58) | BIT(56)) // UC, EN, MISCV, ADDRV; S
#define MISC_PAGE       (UINT64_C(2) << 6 | 12)                 // physical, known from bit 12 on
#define CODE_SCRUBBING  0xc0
#define POSTED          BIT(0) // beside the page

static bool can_be_told(const struct vcpu *vcpu)
{
    const struct msr_state *msr = &vcpu->msr;
    return (vcpu->cr4 & CR4_MCE) && cpuid_has(&vcpu->vm->cpuid, CPUID_MCA) &&
           !(msr->mcg_status & MCG_MCIP) && msr->mcg_ctl && msr->mce[BANK][CTL] &&
           (vcpu->vm->vcpu_count == 1 || msr->mcg_ext_ctl);
}

bool mce_raise(struct vcpu *vcpu, const struct mce_error *error)
{
    if (!can_be_told(vcpu) || !event_raise(vcpu, VECTOR_MC, false, 0))
        return false;
    struct msr_state *msr = &vcpu->msr;
    uint64_t *bank = msr->mce[BANK];
    bank[STATUS] = (bank[STATUS] & STATUS_VALID ? STATUS_OVERFLOW : 0) | STATUS_ERROR |
                   (error->status & (MCE_ACTION_REQUIRED | MCE_CODE));
    bank[ADDR] = error->page.value;
    bank[MISC] = MISC_PAGE;
    msr->mcg_status =
        (error->global & (MCG_RIPV | MCG_EIPV)) | MCG_MCIP | (msr->mcg_ext_ctl ? MCG_LMCE : 0);
    return true;
}

void mce_post(struct vcpu *vcpu, gpa_t page)
{
    vcpu->posted_error = page.value | POSTED;
    vcpu_request(vcpu, REQUEST_MACHINE_CHECK);
}

void mce_take(struct vcpu *vcpu)
{
    uint64_t posted = atomic_exchange(&vcpu->posted_error, 0);
    const struct mce_error error = {CODE_SCRUBBING, MCG_RIPV, gpa(posted & ~POSTED)};
    if (posted && mce_raise(vcpu, &error))
        vcpu_note(vcpu, REQUEST_EVENT);
}

// ---- registers ----

// Everything of a bank is reported, or nothing; what it reports can only be cleared.
bool mce_accepts(const struct vcpu *vcpu, uint32_t index, uint64_t value)
{
    bool is_control = index == MCG_CTL || index % MCE_REGISTERS == CTL;
    return value == 0 || (is_control && value == UINT64_MAX);
}

void mce_reset(struct vcpu *vcpu)
{
    vcpu->msr.mcg_ctl = UINT64_MAX;
    for (unsigned i = 0; i < MCE_BANKS; i++)
        vcpu->msr.mce[i][CTL] = UINT64_MAX;
}
