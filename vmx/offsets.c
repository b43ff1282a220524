// Constants for enter.asm.

#include <stddef.h>

#include "vmx/machine.h"

#define OFFSET(name, value) __asm__ volatile("\n->" #name " %c0" : : "i"(value))

void offsets(void);

void offsets(void)
{
    OFFSET(VCPU_REQUESTS, offsetof(struct vcpu, requests));
    OFFSET(VCPU_HOST_RSP, offsetof(struct vmx_vcpu, host_rsp));
    OFFSET(CPU_VMX, offsetof(struct cpu, vmx));
    OFFSET(VMX_CURRENT, offsetof(struct vmx_cpu, current));
    OFFSET(ENTER_REQUESTED, ENTER_REQUESTED);
    OFFSET(ENTER_FAILED, ENTER_FAILED);
}

_Static_assert(ENTER_EXITED == 0, "enter.asm tells it by ZF");
_Static_assert(offsetof(struct vmx_vcpu, guest.gpr) == 0,
               "enter.asm finds the registers at the start");
