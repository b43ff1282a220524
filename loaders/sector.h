// A boot sector, entered in real mode at 0000:7C00 as a BIOS would. What there is of
// a BIOS is in loaders/bios.asm.
#pragma once

#include "loaders/loading.h"

// A file of one sector with the signature. (A whole disk image must be asked for: its other sectors
// cannot be read.)
bool sector_recognise(const struct image *image);
MUST_CHECK status_t sector_load(struct loading *loading);
