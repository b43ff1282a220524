// The guest agents of the VMs that have a port for one, and what the operator asks of them. From
// tasks of the strand `control`.
#pragma once

#include "lib/status.h"
#include "monitor/guest_agent.h"

struct vm;

// A VM begins to run: its agent's port leads here.
void agents_connect(struct vm *vm);

// Gives an order; what comes of it is told by a message, later. STATUS_UNSUPPORTED: the VM has no
// such port. STATUS_NOT_FOUND: no agent runs in it. STATUS_FULL: another order is under way.
// Explained.
MUST_CHECK status_t agents_order(struct vm *vm, enum agent_order order, struct explanation *why);

// Asks the agent to shut the guest down; where none answers, the power button is pressed. False:
// the guest listens to neither.
MUST_CHECK bool agents_power_down(struct vm *vm);

// Tells what its agent answered, if it was asked.
void agents_attend(struct vm *vm);
