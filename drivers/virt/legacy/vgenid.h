// The VM generation ID: 16 bytes that change when a VM goes on from an older state of itself, as a
// clone does, so that it uses no random number twice. Microsoft's "Virtual Machine Generation ID".
// It has a page of its own, to which VGEN in loaders/dsdt.asl leads; writes change nothing.
#pragma once

#include "vm/bus.h"

// Not the generation: that belongs to a VM's life, and no state that is loaded brings it.
struct vgenid {
    struct vdev device;
};

extern const struct vdev_class vgenid_class;
