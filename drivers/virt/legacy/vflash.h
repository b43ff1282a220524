// The chip that keeps a firmware's variables: flash memory at the beginning of the VM's ROM
// (vm/gmem.h), whose bytes it programs and erases. The code behind it is never written.
#pragma once

#include "vm/vdev.h"

#define VFLASH_BLOCK UINT64_C(4096) // bytes that are erased together

struct vflash {
    struct vdev device;
    uint64_t size; // bytes, whole blocks
    uint32_t mode;
    uint32_t status;
};

// Offsets count from the beginning of the ROM.
extern const struct vdev_class vflash_class;
