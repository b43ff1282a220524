// What a PC's BIOS leaves behind: its data area, interrupt vectors with handlers behind them, the
// reset vector, the interrupt controllers as it has set them. There is no BIOS: its services are in
// loaders/bios.asm, few.
#pragma once

#include "loaders/loading.h"

// Writes all that lies in memory, before the kernel, which may take what is not in the ROM's place.
void bios_write(struct loading *loading);

// Programs the board as a BIOS does before it boots something: the 8259s at vectors 8 and 70h with
// IRQ 0 open, and the 8254 at 18.2 Hz.
void bios_set_up_board(struct vm *vm);
