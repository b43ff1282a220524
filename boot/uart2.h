// The machine's second serial line, which one VM may own as its COM2 (uart2 = yes): not
// multiplexed, no Ctrl-A.
#pragma once

#include "lib/bits.h"

struct vm;

// A VM whose description asks for COM2 begins to run: the first one gets the line, and keeps it as
// long as the machine runs. Says what becomes of COM2 if it gets none.
void uart2_claim(struct vm *vm);

// A byte of a VM's COM2. False: no room now, offer it again. Where no line is its own the byte is
// dropped. Any CPU.
MUST_CHECK bool uart2_write(struct vm *vm, uint8_t byte);

// Whether something that this VM printed was not sent yet. CPU 0.
bool uart2_has_output(const struct vm *vm);

// Moves bytes both ways. CPU 0, between slices. True: output is left.
bool uart2_poll(void);
