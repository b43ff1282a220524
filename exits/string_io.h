// INS and OUTS, with and without REP: one bounded chunk of elements for each exit.
#pragma once

#include "vm/exit.h"

// Serves the exit of an INS or OUTS. Each element is committed by itself, as on the CPU; again()
// while RCX remains.
verdict_t string_io(struct vcpu *vcpu, const struct exit *exit);
