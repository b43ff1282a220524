// The arithmetic of the instruction emulator: values and flags, nothing else. `size` is 1, 2, 4 or
// 8 bytes; operands may have bits above it, results have none. Flags that the SDM leaves undefined
// get some value. SDM: "EFLAGS Cross-Reference".
#pragma once

#include "vm/emulate/decode.h"

// OP_ADD to OP_CMP, OP_TEST. For CMP and TEST the result is what the flags speak of.
uint64_t alu_binary(enum operation operation, unsigned size, uint64_t a, uint64_t b,
                    uint64_t *rflags);

// OP_INC, OP_DEC, OP_NEG, OP_NOT.
uint64_t alu_unary(enum operation operation, unsigned size, uint64_t value, uint64_t *rflags);

// The count of a shift or rotation that the CPU uses: its low 5 bits, or 6 for 8-byte operands.
static inline unsigned alu_count(unsigned size, uint64_t count)
{
    return (unsigned)(count & (size == 8 ? 0x3f : 0x1f));
}

// OP_ROL to OP_SHRD by `count` from alu_count(); bits of `fill` (0 but for double shifts) move in.
// A count of zero changes nothing.
uint64_t alu_shift(enum operation operation, unsigned size, uint64_t value, uint64_t fill,
                   unsigned count, uint64_t *rflags);

// The product of 2 * `size` bytes. CF and OF: it does not fit in `size` bytes.
void alu_multiply(bool is_signed, unsigned size, uint64_t a, uint64_t b, uint64_t *low,
                  uint64_t *high, uint64_t *rflags);

// Divides high:low. False: #DE, by zero or a quotient that does not fit; nothing is changed.
MUST_CHECK bool alu_divide(bool is_signed, unsigned size, uint64_t divisor, uint64_t *low,
                           uint64_t *high);

// OP_BSF, OP_BSR of a value that is not zero, and ZF for any.
uint64_t alu_scan(enum operation operation, uint64_t value, uint64_t *rflags);

// The condition of Jcc, SETcc and CMOVcc, 0 to 15.
bool alu_condition(unsigned condition, uint64_t rflags);
