// Machine checks in a guest: the banks of a vCPU, which stay empty until memory of its VM breaks,
// and the machine check that tells of it, as of any other machine's memory. SDM: "Machine-Check
// Architecture", "Recovery of Uncorrected Recoverable (UCR) Errors".
#pragma once

#include "vm/address.h"

struct vcpu;

#define MCE_BANKS     4
#define MCE_REGISTERS 4 // of a bank: CTL, STATUS, ADDR, MISC

// IA32_MCG_CAP: IA32_MCG_CTL, recoverable errors, machine checks that reach one CPU alone.
#define MCE_CAPABILITIES (BIT(8) | BIT(24) | BIT(27) | MCE_BANKS)

// What the host's banks told: of IA32_MCi_STATUS, whether an action is required, and the code;
// IA32_MCG_STATUS; and the page.
#define MCE_ACTION_REQUIRED BIT(55)
#define MCE_CODE            BITS(15, 0)

struct mce_error {
    uint64_t status; // 0: no error
    uint64_t global;
    gpa_t page;
};

// Fills a bank and raises #MC. False: the guest cannot be told. It has CR4.MCE or the bank switched
// off, is in a machine check already, or it has several vCPUs and did not ask for machine checks
// that only one of them gets. Nothing has changed then. Needs STATE_CONTROL.
MUST_CHECK bool mce_raise(struct vcpu *vcpu, const struct mce_error *error);

// A page of the VM broke that nobody has used yet: tells its first vCPU, if it can be told. Any CPU
// may call mce_post(), of which the last one counts; mce_take() is that vCPU's own, for
// REQUEST_MACHINE_CHECK, and needs STATE_CONTROL.
void mce_post(struct vcpu *vcpu, gpa_t page);
void mce_take(struct vcpu *vcpu);

// The registers of the banks, for vm/cpu/msr.c. IA32_MCG_CTL is of the same kind as a bank's
// control.
bool mce_accepts(const struct vcpu *vcpu, uint32_t index, uint64_t value);
void mce_reset(struct vcpu *vcpu);
