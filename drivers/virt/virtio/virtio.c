// The life of a virtio device: its status, its queues' work and its interrupts. Called by
// virtio_pci.c for the driver's accesses, and by the devices. The device's lock is held.
#include "drivers/virt/virtio/virtio.h"

#include "drivers/virt/virtio/virtio_pci.h"
#include "lib/log.h"

#define ISR_QUEUE  0x01
#define ISR_CONFIG 0x02

#define STARVED_NS 1000000 // between looks whether there is memory again

// ---- interrupts ----

void virtio_drive_line(struct virtio *device)
{
    bool is_masked = vpci_value(&device->function, VPCI_COMMAND) & VPCI_COMMAND_NO_INT;
    irq_set(&device->irq,
            device->isr && !is_masked && !vmsix_is_on(&device->msix, &device->function));
}

static void interrupt(struct virtio *device, uint8_t cause, unsigned vector)
{
    if (vmsix_is_on(&device->msix, &device->function)) {
        vmsix_send(&device->msix, &device->function, vector);
        return;
    }
    device->isr |= cause;
    virtio_drive_line(device);
}

void virtio_interrupt(struct virtio *device, unsigned queue)
{
    interrupt(device, ISR_QUEUE, device->queue[queue].vector);
}

void virtio_config_changed(struct virtio *device)
{
    device->generation++;
    if (device->status & VIRTIO_DRIVER_OK)
        interrupt(device, ISR_CONFIG, device->config_vector);
}

void virtio_break_shared(struct virtio *device, const char *why)
{
    if (device->status & VIRTIO_NEEDS_RESET)
        return;
    device->status |= VIRTIO_NEEDS_RESET;
    if (!device->is_told &&
        !device->device.vm->is_quiet) // once in a VM's life: a driver could do it all day
        log_warning("[%s] %s: %s: its driver must reset it\n", device->device.vm->traits.name,
                    device->device.name, why);
    device->is_told = true;
    virtio_config_changed(device);
}

void virtio_break(struct virtio *device, const char *why)
{
    virtio_hold(device);
    virtio_break_shared(device, why);
    virtio_release(device);
}

// ---- queues ----

bool virtio_take_again(struct virtio *device, unsigned number, unsigned head)
{
    struct virtqueue *queue = &device->queue[number];
    return virtio_is_at_work(device, number) &&
           !virtqueue_walk(queue, virtio_memory(device), device->features, head, &device->chain);
}

void virtio_tell(struct virtio *device, unsigned number)
{
    struct virtqueue *queue = &device->queue[number];
    if (!virtio_is_live(device) || !virtqueue_tell(queue, virtio_memory(device), device->features))
        return;
    virtio_hold(device);
    virtio_interrupt(device, number);
    virtio_release(device);
}

static void work_on(struct virtio *device, unsigned number)
{
    device->work &= ~BIT32(number);
    if (device->device.vm->is_starved) { // there may be no frame for what it would write to
        device->work |= BIT32(number);
        device->due = device->now + STARVED_NS;
    } else if (device->class->work(device, number) && virtio_is_live(device)) {
        device->work |= BIT32(number);
    }
}

void virtio_look_again(struct virtio *device)
{
    for (unsigned i = 0; i < device->queues; i++)
        if (virtio_is_at_work(device, i))
            device->work |= BIT32(i);
}

void virtio_notify(struct virtio *device, unsigned number)
{
    if (number < device->queues && virtio_is_at_work(device, index_below(number, VIRTIO_QUEUES))) {
        vm_exert(device->device.vm);
        work_on(device, number);
    }
}

// What an exit did not finish is due at once, and done in the VM's own time: a piece a tick.
uint64_t virtio_deadline(struct vdev *vdev)
{
    const struct virtio *device = CONTAINER_OF(vdev, struct virtio, device);
    return device->work && virtio_is_live(device) ? device->due : NEVER;
}

void virtio_tick(struct vdev *vdev, uint64_t now)
{
    struct virtio *device = CONTAINER_OF(vdev, struct virtio, device);
    uint32_t later = device->work & ~((uint32_t)BIT(device->turn) - 1);
    uint32_t from = later ? later : device->work;
    device->now = now;
    device->due = now + 1;
    if (!from)
        return;
    unsigned number = lowest_bit(from); // one queue after the other
    device->turn = number + 1;
    work_on(device, number);
}

// ---- status ----

static void reset_queue(struct virtqueue *queue)
{
    *queue = (struct virtqueue){.size = VIRTQUEUE_SIZE, .vector = VMSIX_NONE};
}

void virtio_reset_queue(struct virtio *device, unsigned number)
{
    device->work &= ~BIT32(number);
    reset_queue(&device->queue[number]);
    if (device->class->queue_reset)
        device->class->queue_reset(device, number);
}

// By the driver or at power-on: nothing is under way once this returns.
static void reset_transport(struct virtio *device)
{
    device->features = 0;
    device->offered_select = device->features_select = 0;
    device->queue_select = 0;
    device->config_vector = VMSIX_NONE;
    device->status = 0;
    device->isr = 0;
    device->work = 0;
    for (unsigned i = 0; i < device->queues; i++)
        reset_queue(&device->queue[i]);
    if (device->class->reset)
        device->class->reset(device);
}

static bool accepts(const struct virtio *device, uint64_t features)
{
    return !(features & ~device->offered) && (features & VIRTIO_F_VERSION_1) &&
           (!device->class->accepts || device->class->accepts(device, features));
}

void virtio_set_status(struct virtio *device, uint8_t status)
{
    if (status == 0) {
        reset_transport(device);
        virtio_drive_line(device);
        return;
    }
    uint8_t sets = status & (uint8_t) ~(device->status | VIRTIO_NEEDS_RESET);
    if ((sets & VIRTIO_FEATURES_OK) && !accepts(device, device->features))
        sets &= (uint8_t)~VIRTIO_FEATURES_OK; // the driver reads it back
    if ((sets & VIRTIO_DRIVER_OK) && !((device->status | sets) & VIRTIO_FEATURES_OK))
        sets &= (uint8_t)~VIRTIO_DRIVER_OK;
    device->status |= sets;
    if ((sets & VIRTIO_DRIVER_OK) && device->class->is_told_early)
        device->work = BIT32(device->queues) - 1;
}

void virtio_reset(struct vdev *vdev)
{
    struct virtio *device = CONTAINER_OF(vdev, struct virtio, device);
    if (!device->class)
        return; // it has not been described
    vpci_function_reset(&device->function);
    vmsix_reset(&device->msix);
    reset_transport(device);
}

void virtio_loaded(struct vdev *vdev)
{
    struct virtio *device = CONTAINER_OF(vdev, struct virtio, device);
    device->features &= device->offered;
    device->work &= BIT32(device->queues) - 1;
    device->msix.pending &= BIT(device->msix.count) - 1;
    for (unsigned i = 0; i < device->queues; i++) {
        struct virtqueue *queue = &device->queue[i];
        if (!queue->size || (queue->size & (queue->size - 1)) ||
            (queue->is_enabled && !virtqueue_is_good(queue, virtio_memory(device))))
            reset_queue(queue);
        queue->available_end = queue->next_available; // looked at anew
        queue->since = 0;
        if (queue->vector >= device->msix.count)
            queue->vector = VMSIX_NONE;
    }
    virtio_drive_line(device);
}

const struct field virtio_fields[] = {
    WIRING(struct virtio, device),
    WIRING(struct virtio, class),
    FIELD_ONE(struct virtio, irq, irq_line_fields),
    WIRING(struct virtio, offered),
    WIRING(struct virtio, queues),
    WIRING(struct virtio, config_size),
    WIRING(struct virtio, is_told),
    WIRING(struct virtio, shared),
    FIELD_ONE(struct virtio, function, vpci_function_fields),
    FIELD_ONE(struct virtio, msix, vmsix_fields),
    FIELD_ARRAY(struct virtio, config),
    FIELD(struct virtio, features),
    FIELD(struct virtio, offered_select),
    FIELD(struct virtio, features_select),
    FIELD(struct virtio, queue_select),
    FIELD(struct virtio, config_vector),
    FIELD(struct virtio, status),
    FIELD(struct virtio, generation),
    FIELD(struct virtio, isr),
    FIELD(struct virtio, work),
    FIELD_EACH(struct virtio, queue, virtqueue_fields),
    DERIVED(struct virtio, now),
    DERIVED(struct virtio, due),
    DERIVED(struct virtio, turn),
    DERIVED(struct virtio, chain),
    {0},
};
