// Multiboot2 kernels, ELF or with an address tag, entered in 32-bit protected mode.
// Multiboot2 Specification 2.0: "OS image format", "I386 machine state", "Boot information".
#pragma once

#include "loaders/loading.h"

bool multiboot2_recognise(const struct image *image);
MUST_CHECK status_t multiboot2_load(struct loading *loading);
