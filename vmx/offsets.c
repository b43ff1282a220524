// Constants for enter.asm.

#include <stddef.h>

#include "arch/x86_64/registers.h"
#include "vmx/vmx.h"
#include "vmx/policy/speculation.h"

#define OFFSET(name, value) __asm__ volatile("\n->" #name " %c0" : : "i"(value))

void offsets(void);

void offsets(void)
{
    OFFSET(VCPU_REQUESTS, offsetof(struct vcpu, requests));
    OFFSET(VCPU_HOST_RSP, offsetof(struct vmx_vcpu, host_rsp));
    OFFSET(VCPU_MITIGATIONS, offsetof(struct vmx_vcpu, mitigations));
    OFFSET(VCPU_SPEC_CTRL, offsetof(struct vmx_vcpu, guest.live.spec_ctrl));
    OFFSET(VCPU_SPEC_CTRL_HOST, offsetof(struct vmx_vcpu, spec_ctrl_host));
    OFFSET(CPU_VMX, offsetof(struct cpu, vmx));
    OFFSET(VMX_CURRENT, offsetof(struct vmx_cpu, current));
    OFFSET(ENTER_REQUESTED, ENTER_REQUESTED);
    OFFSET(ENTER_FAILED, ENTER_FAILED);
    OFFSET(MSR_SPEC_CTRL, MSR_SPEC_CTRL);
    OFFSET(SELECTOR_DATA, SELECTOR_DATA);
    OFFSET(MITIGATION_VERW, MITIGATION_VERW);
    OFFSET(MITIGATION_IBRS, MITIGATION_IBRS);
    OFFSET(MITIGATION_RSB_FILL, MITIGATION_RSB_FILL);
    OFFSET(MITIGATION_RSB_ONE, MITIGATION_RSB_ONE);
    OFFSET(MITIGATION_BHB, MITIGATION_BHB);
}

_Static_assert(offsetof(struct vmx_vcpu, guest.gpr) == 0,
               "enter.asm finds the registers at the start");
