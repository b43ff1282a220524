// What the keys of a PC's keyboard mean on a serial console: scan codes of set 1 become the bytes
// that a terminal sends. US layout. Pure. Used by console.c with what i8042.c reads.
#pragma once

#include "lib/bits.h"

#define KEYBOARD_BYTES_MAX 4U // a key sends no more

struct keyboard {
    uint8_t shifts; // which of the two are down
    uint8_t controls;
    bool is_caps;     // CapsLock is on
    bool is_extended; // the last byte was E0: the key is one of the second block
};

// Takes a scan code; writes the bytes that its key sends and returns their number, 0 for most.
unsigned keyboard_take(struct keyboard *keyboard, uint8_t code, char bytes[KEYBOARD_BYTES_MAX]);
