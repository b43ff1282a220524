// See world.h.

#include "tests/fuzz/world.h"
#include "tests/ram.h"

#include <stdlib.h>

static void all_features(uint32_t leaf, uint32_t subleaf, struct cpuid_leaf *result)
{
    *result = (struct cpuid_leaf){
        .eax = UINT32_MAX, .ebx = UINT32_MAX, .ecx = UINT32_MAX, .edx = UINT32_MAX};
    if (leaf == 0)
        result->eax = 0x1f;
    else if (leaf == 0x80000000)
        result->eax = 0x80000008;
    else if (leaf == 0x80000008)
        result->eax = 0x3028;
    else if (leaf == 4)
        result->eax = subleaf < 3 ? 0x21 : 0;
    else if (leaf == 0xd && subleaf >= 2)
        *result = (struct cpuid_leaf){.eax = 64, .ebx = 512 + 64 * subleaf};
}

void world_build(struct vm *vm, struct vcpu *vcpu, const struct vm_host *host, uint8_t *ram,
                 uint64_t size)
{
    static struct cpuid_leaves leaves;
    const struct cpuid_inputs inputs = {
        .tsc_hz = 2000000000, .apic_hz = 1000000000, .vcpu_count = 1, .flags = UINT32_MAX - 1};
    vm->vcpu_count = 1;
    vm->vcpu[0] = vcpu;
    vm->host = host;
    ram_is(&vm->memory, ram, size);
    clock_init(&vm->clock, inputs.tsc_hz, 1000);
    cpuid_collect(&leaves, all_features);
    if (cpuid_build(&vm->cpuid, &leaves, &inputs) != STATUS_OK)
        abort();
}
