// Kernels with a PVH entry point (ELF note 18 of owner "Xen"): vmlinux of Linux, FreeBSD,
// unikernels. Entered in 32-bit protected mode. Xen: "x86/HVM direct boot ABI".
#pragma once

#include "loaders/loading.h"

bool pvh_recognise(const struct image *image);
MUST_CHECK status_t pvh_load(struct loading *loading);
