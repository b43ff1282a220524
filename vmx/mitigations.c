// Mitigations of speculation outside the world switch. See mitigations.h.

#include "vmx/mitigations.h"

#include "arch/x86_64/registers.h"

#define PRED_CMD_IBPB BIT(0)
#define FLUSH_CMD_L1D BIT(0)
#define ARCH_CAP_GDS  BIT(25)

#define TSX_CTRL_RTM_DISABLE BIT(0)
#define TSX_CTRL_CPUID_CLEAR BIT(1)
#define EDX_SRBDS_CTRL       BIT32(9)
#define EDX_ARCH_CAP         BIT32(29)

struct speculation host_speculation;
uint64_t host_arch_capabilities;

void mitigations_fill_rsb(void); // enter.asm

void mitigations_read_facts(struct speculation_facts *facts)
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

void mitigations_start(struct vmx_cpu *here)
{
    if (here->mitigations & MITIGATION_SPEC_CTRL)
        wrmsr(MSR_SPEC_CTRL, here->spec_ctrl);
    if (here->mitigations & MITIGATION_TSX_OFF)
        (void)wrmsr_safe(MSR_TSX_CTRL, TSX_CTRL_RTM_DISABLE | TSX_CTRL_CPUID_CLEAR);
}

void mitigations_switch(struct vmx_cpu *here, const struct vmx_vm *vm)
{
    if (here->last_vm == vm->serial)
        return;
    here->last_vm = vm->serial;
    if (!(here->mitigations & MITIGATION_IBPB))
        return;
    wrmsr(MSR_PRED_CMD, PRED_CMD_IBPB);
    mitigations_fill_rsb();
}

void mitigations_run(const struct vmx_cpu *here)
{
    if (here->mitigations & MITIGATION_L1D_FLUSH)
        wrmsr(MSR_FLUSH_CMD, FLUSH_CMD_L1D);
}
