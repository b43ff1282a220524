// Machine checks while a guest ran: broken memory concerns the VM that used it, and nothing else.
#pragma once

#include "vmx/machine.h"

// After a VM exit by a machine check. True: the guest used broken memory of its own, which is noted
// in vcpu->error. Panics where the host cannot go on.
bool recovery_serve(struct vcpu *vcpu);
