// A VM of one vCPU whose CPU has every feature, for the fuzzers that run exits.
#pragma once

#include "vm/vm.h"

// `ram` lies at address 0. The caller adds its devices and freezes the buses.
void world_build(struct vm *vm, struct vcpu *vcpu, const struct vm_host *host, uint8_t *ram,
                 uint64_t size);
