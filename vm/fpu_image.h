// The legacy region and the header of an XSAVE image, standard format. SDM: "XSAVE Area".
#pragma once

#include <stddef.h>
#include <stdint.h>

struct fpu_image {
    uint16_t fcw;
    uint16_t fsw;
    uint8_t ftw; // abridged: a bit set is a register in use
    uint8_t reserved[19];
    uint32_t mxcsr;
    uint8_t registers[484];
    uint64_t xstate_bv;
    uint64_t header[7];
};
_Static_assert(sizeof(struct fpu_image) == 576, "as XSAVE stores it");
_Static_assert(offsetof(struct fpu_image, mxcsr) == 24, "as XSAVE stores it");
