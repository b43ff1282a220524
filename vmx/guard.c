// Guards against speculation outside the world switch. See guard.h.

#include "vmx/guard.h"

#include "arch/x86_64/registers.h"

#define PRED_CMD_IBPB BIT(0)
#define FLUSH_CMD_L1D BIT(0)
#define ARCH_CAP_GDS  BIT(25)

#define TSX_CTRL_RTM_DISABLE BIT(0)
#define TSX_CTRL_CPUID_CLEAR BIT(1)
#define EDX_SRBDS_CTRL       BIT32(9)
#define EDX_ARCH_CAP         BIT32(29)

struct speculation machine_speculation;
uint64_t machine_arch_capabilities;

void guard_fill_rsb(void); // enter.asm

void guard_read_facts(struct speculation_facts *facts)
{
    struct cpuid_result structured = {0};
    struct cpuid_result basic = cpuid(1, 0);
    *facts =
        (struct speculation_facts){.signature = basic.eax, .hypervisor = basic.ecx & BIT32(31)};
    if (cpuid(0, 0).eax >= 7)
        structured = cpuid(7, 0);
    facts->structured_ebx = structured.ebx;
    facts->structured_edx = structured.edx;
    if (structured.eax >= 2)
        facts->predictors = cpuid(7, 2).edx;
    if (structured.edx & EDX_ARCH_CAP)
        (void)rdmsr_safe(MSR_ARCH_CAPABILITIES, &facts->arch_capabilities);
    if ((structured.edx & EDX_SRBDS_CTRL) || (facts->arch_capabilities & ARCH_CAP_GDS))
        (void)rdmsr_safe(MSR_MCU_OPT_CTRL, &facts->mcu_opt_ctrl);
}

void guard_start(struct vmx_cpu *here)
{
    if (here->guards & GUARD_SPEC_CTRL)
        wrmsr(MSR_SPEC_CTRL, here->spec_ctrl);
    if (here->guards & GUARD_TSX_OFF)
        (void)wrmsr_safe(MSR_TSX_CTRL, TSX_CTRL_RTM_DISABLE | TSX_CTRL_CPUID_CLEAR);
}

void guard_switch(struct vmx_cpu *here, const struct vmx_vm *vm)
{
    if (here->last_vm == vm->serial)
        return;
    here->last_vm = vm->serial;
    if (!(here->guards & GUARD_IBPB))
        return;
    wrmsr(MSR_PRED_CMD, PRED_CMD_IBPB);
    guard_fill_rsb();
}

void guard_run(const struct vmx_cpu *here)
{
    if (here->guards & GUARD_L1D_FLUSH)
        wrmsr(MSR_FLUSH_CMD, FLUSH_CMD_L1D);
}
