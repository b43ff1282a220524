// The instruction emulator without the instructions on system registers (exits/emulate.c).
#pragma once

#include "vm/emulate/emulate.h"
#include "vm/vm.h"

static inline verdict_t emulate(struct vcpu *vcpu, const struct exit *exit)
{
    struct instruction instruction;
    verdict_t fault;
    uint32_t missing = emulate_missing(vcpu);
    if (missing)
        return need(missing);
    if (!emulate_decode(vcpu, &instruction, &fault))
        return fault;
    return emulate_decoded(vcpu, &instruction, exit_now(vcpu, exit));
}
