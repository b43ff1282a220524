// Between the transport's two files: what the driver's accesses do.
#pragma once

#include "drivers/virt/virtio/virtio.h"

void virtio_set_status(struct virtio *device, uint8_t status);
void virtio_notify(struct virtio *device, unsigned queue);
void virtio_reset_queue(struct virtio *device, unsigned queue);

// The line follows the interrupt status, if nothing masks it.
void virtio_drive_line(struct virtio *device);
