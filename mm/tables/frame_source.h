// Where page tables get their frames from: the frame allocator on the target, a recording memory in
// tests.
#pragma once

#include "vm/address.h"

struct frame_source {
    // A zeroed frame of 4 KiB, or NULL if there is none left.
    void *(*allocate)(struct frame_source *);
    void (*free)(struct frame_source *, void *frame);
    // Between a frame's place in our address space and its physical address.
    hpa_t (*address)(struct frame_source *, const void *frame);
    void *(*pointer)(struct frame_source *, hpa_t address);
    unsigned owner; // who holds them: see mm/tables/frames.h
};
