// Machine checks while a guest ran: broken memory ends the VM that used it, and nothing else.
#pragma once

#include "vmx/machine.h"

// After a VM exit by a machine check. True: this VM cannot go on. Panics where the host cannot.
bool recovery_ends_vm(struct vcpu *vcpu);
