// VMXON on every CPU.

#include "vmx/root.h"

#include "arch/x86_64/registers.h"
#include "mm/tables/frames.h"
#include "vmx/mitigations.h"
#include "vmx/instructions.h"
#include "vmx/tlb.h"

static void unlock_feature_control(struct vmx_raw *raw)
{
    if (!rdmsr_safe(MSR_FEATURE_CONTROL, &raw->feature_control))
        return;
    if (raw->feature_control & FEATURE_CONTROL_LOCK)
        return;
    (void)wrmsr_safe(MSR_FEATURE_CONTROL,
                     raw->feature_control | FEATURE_CONTROL_VMX | FEATURE_CONTROL_LOCK);
    (void)rdmsr_safe(MSR_FEATURE_CONTROL, &raw->feature_control);
}

void root_read_capabilities(struct vmx_raw *raw)
{
    struct cpuid_result basic = cpuid(1, 0), extended = cpuid(0x80000001, 0);
    uint32_t highest = cpuid(0x80000000, 0).eax;
    struct cpuid_result widths = {.eax = 48 << 8 | 36};
    if (highest >= 0x80000008)
        widths = cpuid(0x80000008, 0);
    *raw = (struct vmx_raw){
        .signature = basic.eax,
        .vmx = basic.ecx & BIT32(5),
        .hypervisor = basic.ecx & BIT32(31),
        .long_mode = extended.edx & BIT32(29),
        .no_execute = extended.edx & BIT32(20),
        .physical_bits = (uint8_t)widths.eax,
        .linear_bits = (uint8_t)(widths.eax >> 8),
    };
    if (!raw->vmx)
        return;
    unlock_feature_control(raw);
    for (unsigned i = 0; i < VMX_MSRS; i++) {
        enum vmx_msr number = VMX_MSR_FIRST + i;
        if (capabilities_msr_exists(raw, number))
            (void)rdmsr_safe(number, &raw->msr[i]);
    }
}

status_t root_enter(struct explanation *why)
{
    struct cpu *cpu = this_cpu();
    struct vmx_cpu *vmx = &vmx_cpus[cpu->index];
    uint32_t *region = frame_allocate(FRAMES_CORBEL);
    if (!region)
        return explain(why, STATUS_NO_MEMORY, "CPU %u: no memory for VMXON", cpu->index);
    vmx->cpu = cpu;
    cpu->vmx = vmx;
    region[0] = (uint32_t)(vmx_msr(&host_capabilities, MSR_VMX_BASIC) & BASIC_REVISION);
    const struct control_range *cr0 = &host_capabilities.cr0, *cr4 = &host_capabilities.cr4;
    write_cr0((read_cr0() | cr0->must) & cr0->may);
    write_cr4((read_cr4() | cr4->must | CR4_VMXE) & cr4->may);
    hpa_t address = hpa((uintptr_t)region);
    if (!vmxon(&address))
        return explain(why, STATUS_INVALID, "CPU %u: VMXON failed: is VMX already in use there?",
                       cpu->index);
    tlb_flush_all();
    mitigations_start(vmx);
    return STATUS_OK;
}

void root_leave(void)
{
    if (read_cr4() & CR4_VMXE)
        vmxoff();
}
