// The services of a VM to its handlers and devices: its end, its buses with their unclaimed
// addresses, its earliest device deadline. Called from exits, devices and the operator's side.
#include "vm/vm.h"

#include "lib/string.h"

#define LONG_LIFE_NS UINT64_C(10000000000)

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

bool vm_end_is_logged(const struct vm *vm, uint64_t tsc)
{
    return !vm->is_quiet || clock_ns(&vm->clock, tsc) >= LONG_LIFE_NS;
}

void vm_unclaimed_port(struct vm *vm, struct access *access)
{
    if (!access->write)
        access->value = size_mask(access->size);
    access_counts_add(&vm->unclaimed_ports, access->offset);
}

void vm_port_access(struct vm *vm, struct access *access)
{
    if (!bus_access(&vm->ports, access))
        vm_unclaimed_port(vm, access);
}

// A device wants its tick earlier than any other: vCPU 0, whose loop runs the ticks, looks at it.
static void request_tick(struct deadlines *deadlines)
{
    struct vm *vm = CONTAINER_OF(deadlines, struct vm, deadlines);
    if (vm->vcpu_count)
        vcpu_request(vm->vcpu[0], REQUEST_TIMER);
}

void vm_plug(struct vm *vm, struct vdev *device, const struct vdev_class *class)
{
    memset(device, 0, class->size);
    device->class = class;
    device->name = class->name;
    device->vm = vm;
    device->deadlines = &vm->deadlines;
    atomic_store(&device->deadline.at, NEVER);
    vm->deadlines.earlier = request_tick;
    vdev_reset(device);
}

void vm_tick_devices(struct vm *vm, uint64_t now)
{
    // Each at most once: what is due again already waits for the next call.
    for (unsigned left = DEADLINES; left > 0; left--) {
        struct deadline *due = deadlines_take(&vm->deadlines, now);
        if (!due)
            return;
        vdev_tick(CONTAINER_OF(due, struct vdev, deadline), now);
    }
}
