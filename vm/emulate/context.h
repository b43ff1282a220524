// What the parts of the instruction emulator share: the instruction at hand and its operands.
#pragma once

#include "vm/emulate/decode.h"
#include "vm/emulate/linear.h"

struct emulate_context {
    struct vcpu *vcpu;
    uint64_t now;
    uint64_t rflags;         // as the instruction leaves them: committed when it is complete
    uint64_t address_offset; // added to the memory operand's address: bit strings, POP
    unsigned alignment;      // bytes; a memory operand that lacks it raises #GP(0). 0: any will do
    bool blocks_events;      // of the next instruction's end: MOV SS
    struct linear_span memory; // the operand of ModRM.rm, after operand_prepare()
    uint64_t operand;          // its value, where the operation begins with reading it
    struct instruction instruction;
    uint64_t met;    // breakpoints, by the operands prepared so far (vm/cpu/debug.h)
    verdict_t fault; // where a function below returned false
};

// What an operation does with the operand of ModRM.rm, and what is done before its function is
// called. One whose destination is a register only reads it.
enum operand_use {
    USE_NONE,   // nothing: the function prepares it, if it has one
    USE_CHECK,  // prepared as for reading
    USE_READ,   // and read
    USE_WRITE,  // prepared for writing
    USE_CHANGE, // and read
};

// General registers by number. A byte register may be AH, CH, DH or BH; 4 bytes written clear the
// upper 4.
uint64_t register_read(const struct emulate_context *context, unsigned number, unsigned size);
void register_write(struct emulate_context *context, unsigned number, unsigned size,
                    uint64_t value);

// Checks and translates one range of memory, without touching it: segment, pages, alignment.
MUST_CHECK bool memory_prepare(struct emulate_context *context, enum segment_register segment,
                               uint64_t offset, unsigned size, bool write,
                               struct linear_span *span);

// The other operand of a two-operand instruction: an immediate or the register of ModRM.reg.
uint64_t operand_source(const struct emulate_context *context);

// The operand of ModRM.rm, a register or memory. Prepare comes first, and succeeds at once for a
// register.
MUST_CHECK bool operand_prepare(struct emulate_context *context, unsigned size, bool write);
uint64_t operand_read(struct emulate_context *context, unsigned size);
void operand_write(struct emulate_context *context, unsigned size, uint64_t value);

// The write of a read-modify-write. A locked one replaces `old` in RAM atomically; false: another
// CPU came between, and *fault is again().
MUST_CHECK bool operand_replace(struct emulate_context *context, unsigned size, uint64_t old,
                                uint64_t value);
// The same for 16 aligned bytes.
MUST_CHECK bool operand_replace_16(struct emulate_context *context, const uint64_t old[2],
                                   const uint64_t value[2]);

// What becomes of an instruction that we do not know: user code cannot end its VM, so it may not
// use it.
static inline verdict_t emulate_unknown(const struct vcpu *vcpu)
{
    return vcpu->cpl == 3 ? fault_ud() : stop(STOP_UNEMULATED, 0);
}

// What an instruction does, by families: the files emulate_*.c. False: *fault says why it is not
// complete. emulate_elsewhere() stands for what exits/emulate.c does.
typedef bool emulate_family(struct emulate_context *context);
emulate_family emulate_arithmetic, emulate_unary, emulate_shift, emulate_bit,
    emulate_multiply_divide, emulate_multiply_register, emulate_scan, emulate_move, emulate_extend,
    emulate_move_from_segment, emulate_conditional_move, emulate_set, emulate_exchange,
    emulate_compare_exchange, emulate_compare_exchange_pair, emulate_cache_line, emulate_push,
    emulate_pop, emulate_leave, emulate_enter, emulate_jump, emulate_call, emulate_return,
    emulate_far_jump, emulate_move_to_segment, emulate_string, emulate_vector, emulate_elsewhere;
