// The whole emulator: vm/emulate.h, and the instructions on system registers.
#pragma once

#include "vm/exit.h"

// As emulate(). Needs what the row of EPT violations does.
verdict_t system_emulate(struct vcpu *vcpu, const struct exit *exit);
