// See ram_flush.h. The INVEPT itself is done by each vCPU for itself, in vmx/requests.c, or when it
// comes to a CPU (vmx/context.c).

#include "vmx/ram_flush.h"

#include "arch/x86_64/cpu.h"
#include "vmx/vmx.h"

// Guards: all below.
static struct spinlock lock;
static uint64_t round_number;
static uint64_t rounds[CPUS]; // of each CPU's loop, when that round began

void ram_changed(struct vm *vm)
{
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        vcpu_request(vm->vcpu[i], REQUEST_FLUSH_EPT);
}

// One that comes to a CPU or runs again later forgets before: it was asked to.
static bool have_flushed(const struct vm *vm, uint64_t generation, const struct vmx_cpu *but)
{
    atomic_thread_fence(memory_order_seq_cst);
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        const struct vmx_vcpu *vcpu = vmx_vcpu(vm->vcpu[i]);
        if (vcpu->loaded && vcpu->sched.state == SCHED_RUNNING && vcpu->cpu != but &&
            vcpu->ept_generation < generation)
            return false;
    }
    return true;
}

bool ram_have_flushed(const struct vm *vm, uint64_t generation)
{
    return have_flushed(vm, generation, NULL);
}

bool ram_others_have_flushed(const struct vm *vm, uint64_t generation)
{
    return have_flushed(vm, generation, &vmx_cpus[this_cpu()->index]);
}

static bool have_gone_round(void)
{
    for (unsigned i = 0; i < cpu_count; i++)
        if (cpus[i].online && !vmx_cpus[i].is_asleep && vmx_cpus[i].rounds == rounds[i])
            return false;
    return true;
}

uint64_t ram_round(void)
{
    spin_lock(&lock);
    if (have_gone_round()) {
        round_number++;
        for (unsigned i = 0; i < cpu_count; i++)
            rounds[i] = vmx_cpus[i].rounds;
    }
    uint64_t number = round_number;
    spin_unlock(&lock);
    return number;
}
