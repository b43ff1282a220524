// The operands of an instruction as the VM-exit instruction information describes them.
// SDM: "VM-Exit Instruction Information".
#pragma once

#include "vm/emulate/linear.h"

// Of a memory operand; the displacement is the qualification.
#define INFO_SCALE        BITS(1, 0)
#define INFO_ADDRESS_SIZE BITS(9, 7) // 2, 4 or 8 bytes as 0, 1, 2
#define INFO_SEGMENT      BITS(17, 15)
#define INFO_INDEX        BITS(21, 18)
#define INFO_NO_INDEX     BIT32(22)
#define INFO_BASE         BITS(26, 23)
#define INFO_NO_BASE      BIT32(27)

#define OPERAND_REGISTER_1  BITS(6, 3)
#define OPERAND_IS_REGISTER BIT32(10)
#define OPERAND_32BIT       BIT32(11)
#define OPERAND_IDENTITY    BITS(29, 28)
#define OPERAND_REGISTER_2  BITS(31, 28)

// Address size in bytes and segment of a memory operand; values that the manual does not define are
// taken for the nearest ones.
unsigned operand_address_size(const struct exit *exit);
enum segment_register operand_segment(const struct exit *exit);

// Whether a register operand has 16 bits, which the instruction information does not tell (or, for
// RDRAND, not on every emulator): by the code segment and the prefixes, of which REX.W is the
// stronger one. Needs what vm/emulate/linear.h needs. False: *fault says why.
MUST_CHECK bool operand_is_16bit(struct vcpu *vcpu, bool *is_16bit, verdict_t *fault);

// Reads or writes the operand's `size` bytes in memory, after the segment's checks; *linear is
// where they are. Needs STATE_STACK, FACT_QUALIFICATION and FACT_INSTRUCTION_INFO besides what
// vm/emulate/linear.h needs. False: *fault says why.
MUST_CHECK bool operand_load(struct vcpu *vcpu, const struct exit *exit, void *bytes, unsigned size,
                             gva_t *linear, verdict_t *fault);
MUST_CHECK bool operand_store(struct vcpu *vcpu, const struct exit *exit, const void *bytes,
                              unsigned size, gva_t *linear, verdict_t *fault);
