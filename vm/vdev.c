// What every virtual device can do, by its class. Called from the buses, by the loop of vCPU 0
// (ticks), and for whole boards.
#include "vm/vdev.h"

void vdev_reset(struct vdev *device)
{
    fields_clear(device->class->fields, device, false);
    if (device->class->reset)
        device->class->reset(device);
}

// The deadline in the VM's heap follows the device's. True: the VM's first became earlier.
static inline bool follow_deadline(struct vdev *device)
{
    if (!device->class->deadline)
        return false;
    uint64_t at = device->class->deadline(device);
    return at != atomic_load_explicit(&device->deadline.at, memory_order_relaxed) &&
           deadlines_set(device->deadlines, &device->deadline, at);
}

static inline void unlock(struct vdev *device)
{
    bool is_earlier = follow_deadline(device);
    spin_unlock(&device->lock);
    if (is_earlier && device->deadlines->earlier)
        device->deadlines->earlier(device->deadlines);
}

void vdev_unlock(struct vdev *device)
{
    unlock(device);
}

bool vdev_access(struct vdev *device, struct access *access)
{
    spin_lock(&device->lock);
    bool answered = device->class->access(device, access);
    unlock(device);
    return answered;
}

uint64_t vdev_tick(struct vdev *device, uint64_t now)
{
    spin_lock(&device->lock);
    device->class->tick(device, now);
    follow_deadline(device); // who ticks looks at the first one afterwards
    uint64_t deadline = device->deadline.at;
    spin_unlock(&device->lock);
    return deadline;
}

// ---- save and load ----

size_t vdev_save(struct vdev *device, uint8_t *to, size_t room)
{
    const struct vdev_class *class = device->class;
    spin_lock(&device->lock);
    size_t length = section_save(device->name, class->fields, class->version, device, to, room);
    spin_unlock(&device->lock);
    return length;
}

status_t vdev_load(struct vdev *device, struct section_input *input, bool commit,
                   struct explanation *why)
{
    const struct vdev_class *class = device->class;
    struct section section;
    status_t status = section_open(input, device->name, class->version, &section, why);
    if (status != STATUS_OK)
        return status;
    spin_lock(&device->lock);
    if (commit)
        vdev_reset(device); // what an older state does not hold
    status = fields_load(class->fields, device, section.version, section.records, section.length,
                         commit, device->name, why);
    spin_unlock(&device->lock);
    return status;
}

void vdev_loaded(struct vdev *device)
{
    spin_lock(&device->lock);
    if (device->class->loaded)
        device->class->loaded(device);
    unlock(device);
}
