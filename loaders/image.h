// A file that goes into a guest: a kernel, an initrd, a module. The bytes are the host's and do not
// change.
#pragma once

#include "lib/bits.h"

struct image {
    const char *name; // as vms.conf has it
    const uint8_t *bytes;
    uint64_t size;
    const char *cmdline; // modules: the text after the name; NULL is empty
};
