// The memory operand of an instruction as the VM-exit instruction information describes it.
// SDM: "VM-Exit Instruction Information".
#pragma once

#include "vm/linear.h"

#define OPERAND_REGISTER_1  BITS(6, 3)
#define OPERAND_IS_REGISTER BIT32(10)
#define OPERAND_32BIT       BIT32(11)
#define OPERAND_IDENTITY    BITS(29, 28)
#define OPERAND_REGISTER_2  BITS(31, 28)

// The linear address of the operand's `size` bytes, after the segment's checks. Needs STATE_STACK,
// FACT_QUALIFICATION and FACT_INSTRUCTION_INFO besides what vm/linear.h needs. False: *fault says
// why.
MUST_CHECK bool operand_linear(const struct vcpu *vcpu, const struct exit *exit, unsigned size,
                               bool write, gva_t *linear, verdict_t *fault);
