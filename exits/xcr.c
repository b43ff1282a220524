// XSETBV: which extended states the guest has switched on. It always exits. Called through
// exit_table[]. SDM: "XSETBV-Set Extended Control Register", "Extended Control Registers (Including
// XCR0)".

#include "exits/handlers.h"
#include "vm/vm.h"

// Bochs exits before it checks the privilege level, so it is checked here.
verdict_t exit_xsetbv(struct vcpu *vcpu, const struct exit *exit)
{
    uint64_t value = (uint32_t)vcpu->gpr[RAX] | vcpu->gpr[RDX] << 32;
    if (!(vcpu->cr4_mirror & CR4_OSXSAVE))
        return fault_ud();
    if (vcpu->cpl > 0 || (uint32_t)vcpu->gpr[RCX] != 0 ||
        !cpuid_accepts_xcr0(&vcpu->vm->cpuid, value))
        return fault_gp(0);
    vcpu->xcr0 = value;
    vcpu->dirty |= STATE_XCR0;
    return next();
}
