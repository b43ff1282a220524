// The services of a VM to its handlers and devices: its end, its buses with their unclaimed
// addresses, its earliest device deadline, and requests to its vCPUs. Called from exits, devices
// and the operator's side.
#include "vm/vm.h"

#define LONG_LIFE_NS UINT64_C(10000000000)

void vcpu_request(struct vcpu *vcpu, uint32_t requests)
{
    // What was written before the request is seen by the loop that takes it. While one is left, the
    // loop is in root or was kicked already: many senders must not keep its CPU busy with NMIs. A
    // CPU that takes posted interrupts is notified of them in the guest, and leaves theirs.
    uint32_t before = atomic_fetch_or(&vcpu->requests, requests);
    if ((requests & ~before) || atomic_load(&vcpu->lapic.posts_notify))
        vcpu->vm->host->kick(vcpu);
}

bool vm_stop(struct vm *vm, enum stop_reason reason, uint32_t code)
{
    uint32_t none = STOP_NONE;
    if (!atomic_compare_exchange_strong(&vm->stop_reason, &none, (uint32_t)reason))
        return false;
    atomic_store(&vm->stop_code, code);
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        vcpu_request(vm->vcpu[i], REQUEST_SCHEDULE);
    return true;
}

bool vm_is_told(const struct vm *vm, uint64_t tsc)
{
    return !vm->is_quiet || clock_ns(&vm->clock, tsc) >= LONG_LIFE_NS;
}

void vm_unclaimed_port(struct vm *vm, struct access *access)
{
    if (!access->write)
        access->value = size_mask(access->size);
    atomic_fetch_add_explicit(&vm->unclaimed_ports, 1, memory_order_relaxed);
    tally_count(&vm->port_tally, access->offset);
}

void vm_port_access(struct vm *vm, struct access *access)
{
    if (!bus_access(&vm->ports, access))
        vm_unclaimed_port(vm, access);
}

bool vm_lower_deadline(struct vm *vm, uint64_t deadline)
{
    uint64_t present = atomic_load(&vm->device_deadline);
    do {
        if (present <= deadline)
            return false;
    } while (!atomic_compare_exchange_weak(&vm->device_deadline, &present, deadline));
    return true;
}

void vm_request_tick(struct vm *vm, uint64_t deadline)
{
    if (vm_lower_deadline(vm, deadline) && vm->vcpu_count)
        vcpu_request(vm->vcpu[0], REQUEST_TIMER);
}
