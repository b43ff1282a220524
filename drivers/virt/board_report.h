// The board's state in words, for the operator.
#pragma once

#include "lib/print.h"
#include "vm/vm.h"

// The 8259 pair and the I/O APIC. The VM should stand still.
void board_report_irq(struct printer *to, struct vm *vm);
