// The whole emulator: vm/emulate.h, and the instructions on system registers. Reads of the exit
// only the time.
#pragma once

#include "vm/exit.h"

// Executes the instruction at CS:RIP. Needs what the row of EPT violations does.
verdict_t system_emulate(struct vcpu *vcpu, const struct exit *exit);
