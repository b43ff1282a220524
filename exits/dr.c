// MOV to and from debug registers. They exit where they are made to, and while a guest is known to
// have no breakpoints (vm/cpu/debug.h). Called through exit_table[].
// SDM: "MOV-Move to/from Debug Registers", "Debug Registers", "Exit Qualification for MOV DR".

#include "exits/handlers.h"
#include "vm/debugger.h"

#define ACCESS_NUMBER UINT64_C(7)
#define ACCESS_READ   BIT(4)
#define ACCESS_GPR    BITS(11, 8)

// read as one; bit 16 (RTM) is not supported and reads as one too
#define DR6_FIXED  UINT64_C(0xfffe0ff0)
#define DR6_RTM    BIT(16)
#define DR6_STATUS (BITS(3, 0) | BITS(15, 13))
#define DR6_BD     BIT(13)
#define DR7_FIXED  BIT(10)
#define DR7_GD     BIT(13)
#define DR7_VALID  (BITS(9, 0) | BIT(13) | BITS(31, 16))

#define GROUPS (STATE_STACK | STATE_CONTROL | STATE_MODE | STATE_DEBUG | STATE_DR)

// General detect: #DB before the access, DR6.BD tells why and DR7.GD lets the handler work.
static verdict_t general_detect(struct vcpu *vcpu)
{
    if (!event_raise(vcpu, VECTOR_DB, false, 0))
        return stop(STOP_TRIPLE_FAULT, 0);
    vcpu->dr6 |= DR6_BD;
    vcpu->rflags |= RFLAGS_RF; // a fault
    *debugged_dr(vcpu, 7) &= ~DR7_GD;
    vcpu->dirty |= STATE_FLOW | STATE_DEBUG | STATE_DR;
    vcpu_note(vcpu, REQUEST_EVENT);
    return again();
}

static verdict_t write_dr(struct vcpu *vcpu, unsigned number, uint64_t value)
{
    if (number >= 6 && value >> 32)
        return fault_gp(0);
    if (number == 7)
        *debugged_dr(vcpu, 7) = (value & DR7_VALID) | DR7_FIXED;
    else if (number == 6)
        vcpu->dr6 = (value & DR6_STATUS) | DR6_FIXED | DR6_RTM;
    else
        *debugged_dr(vcpu, number) = value;
    vcpu->dirty |= STATE_BREAKPOINTS | (number == 7 ? STATE_DEBUG : STATE_DR);
    return next();
}

static uint64_t read_dr(struct vcpu *vcpu, unsigned number)
{
    return number == 6 ? vcpu->dr6 : *debugged_dr(vcpu, number);
}

// Bochs exits before it checks the privilege level, so it is checked here.
verdict_t exit_mov_dr(struct vcpu *vcpu, const struct exit *exit)
{
    unsigned number = (unsigned)(exit->qualification & ACCESS_NUMBER);
    unsigned gpr = (unsigned)FIELD_GET(ACCESS_GPR, exit->qualification);

    if (GROUPS & ~vcpu->fetched)
        return need(GROUPS);
    if (number == 4 || number == 5) {
        if (vcpu->cr4 & CR4_DE)
            return fault_ud();
        number += 2;
    }
    if (vcpu->cpl > 0)
        return fault_gp(0);
    if (*debugged_dr(vcpu, 7) & DR7_GD)
        return general_detect(vcpu);

    bool is_64bit = vcpu_in_64bit(vcpu);
    if (!(exit->qualification & ACCESS_READ)) {
        uint64_t value = vcpu->gpr[gpr];
        return write_dr(vcpu, number, is_64bit ? value : (uint32_t)value);
    }
    vcpu->dirty |= STATE_BREAKPOINTS;
    uint64_t value = read_dr(vcpu, number);
    vcpu->gpr[gpr] = is_64bit ? value : (uint32_t)value;
    if (gpr == RSP)
        vcpu->dirty |= STATE_STACK;
    return next();
}
