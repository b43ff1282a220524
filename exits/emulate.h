// The whole emulator: vm/emulate/emulate.h, and the instructions on system registers. Reads of the
// exit only the time.
#pragma once

#include "vm/exit.h"

// Executes the instruction at CS:RIP. Needs what the row of EPT violations does.
verdict_t exit_emulate(struct vcpu *vcpu, const struct exit *exit);

// The delivery of an event met descriptor tables or a stack that are no memory. Needs STATE_MODE.
verdict_t exit_refuse_delivery(const struct vcpu *vcpu);
