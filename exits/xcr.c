// XSETBV: which extended states the guest has switched on. It always exits. Called through
// exit_table[]. SDM: "XSETBV-Set Extended Control Register", "Extended Control Registers (Including
// XCR0)".

#include "exits/handlers.h"
#include "vm/vm.h"

#define XCR0_X87    BIT(0)
#define XCR0_SSE    BIT(1)
#define XCR0_AVX    BIT(2)
#define XCR0_AVX512 BITS(7, 5)

static bool is_valid(uint64_t value, uint64_t allowed)
{
    if (!(value & XCR0_X87) || (value & ~allowed))
        return false;
    if ((value & XCR0_AVX) && !(value & XCR0_SSE))
        return false;
    if (!(value & XCR0_AVX512))
        return true;
    return (value & XCR0_AVX512) == XCR0_AVX512 && (value & XCR0_AVX);
}

// Bochs exits before it checks the privilege level, so it is checked here.
verdict_t exit_xsetbv(struct vcpu *vcpu, const struct exit *exit)
{
    uint64_t value = (uint32_t)vcpu->gpr[RAX] | vcpu->gpr[RDX] << 32;
    if (!(vcpu->cr4_mirror & CR4_OSXSAVE))
        return fault_ud();
    if (vcpu->cpl > 0 || (uint32_t)vcpu->gpr[RCX] != 0 ||
        !is_valid(value, vcpu->vm->cpuid.xcr0_allowed))
        return fault_gp(0);
    vcpu->xcr0 = value;
    vcpu->dirty |= STATE_XCR0;
    return next();
}
