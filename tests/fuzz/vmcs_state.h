// Between a VMCS and struct vcpu, as vmx/state.c and vmx/requests.c do it.
#pragma once

#include "tests/unit/vmcs_image.h"

// All of the guest's state. Of the bits of CR0 and CR4 that are Corbel's the guest may have written
// either value: bits 3:0 of `unlike` say which.
void vmcs_state_fetch(struct vcpu *vcpu, const struct vmcs_image *image, uint8_t unlike);

// The same back, with the event and the windows that are planned.
void vmcs_state_write(struct vmcs_image *image, const struct vcpu *vcpu,
                      const struct vmcs_config *config);
