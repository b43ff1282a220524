// A Linux kernel from its bzImage, entered in 64-bit mode as its boot protocol says.
// Linux: "The Linux/x86 Boot Protocol", "64-bit Boot Protocol", "Zero Page".
#pragma once

#include "loaders/loading.h"

// Whether the file has the magic numbers of a bzImage.
bool linux_recognise(const struct image *image);

// Places the kernel, the initrd, the command line and boot_params, and sets the boot processor's
// registers.
MUST_CHECK status_t linux_load(struct loading *loading);
