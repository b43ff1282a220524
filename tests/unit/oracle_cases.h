// Random instructions that reach memory, for the comparison of the emulator with libunicorn: their
// bytes, the state that they run in, and what of the outcome can be compared.
#pragma once

#define DEVICE UINT64_C(0x80000) // in real mode's reach

#include <unicorn/unicorn.h>

#include "tests/unit/guest.h"
#include "vm/emulate/decode.h"

#define CODE       UINT64_C(0x10000)
#define CODE_END   UINT64_C(0x20000)
#define WINDOW     UINT64_C(0x78000) // memory that is compared after each instruction
#define WINDOW_END UINT64_C(0x8c000)
#define LOW_TABLES UINT64_C(0x300000)
#define STATUS     (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

static unsigned rounds = 250000;
static uint64_t seed = 1;

static inline uint64_t draw(uint64_t limit)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (seed >> 24) % limit;
}

static inline uint64_t draw_value(void)
{
    static const uint64_t edges[] = {0,          1,          0x7f,       0x80,
                                     0xff,       0x7fff,     0x8000,     0xffff,
                                     0x7fffffff, 0x80000000, 0xffffffff, UINT64_C(1) << 63,
                                     UINT64_MAX, INT64_MAX};
    uint64_t random = draw(UINT64_C(1) << 32) << 32 | draw(UINT64_C(1) << 32);
    switch (draw(4)) {
    case 0:
        return edges[draw(ARRAY_LENGTH(edges))];
    case 1:
        return draw(256);
    default:
        return random;
    }
}

struct oracle_cpu {
    unsigned bits;
    uc_mode mode;
    uc_engine *engine;
    uc_context *fresh; // after an exception it thinks that it is still delivering one
    uint8_t *memory;   // RAM_SIZE
    uint64_t code;     // where the next instruction goes
    int vector;        // of the exception that it raised, or -1
    bool is_branching; // its instruction may go elsewhere
    unsigned begun;    // instructions since it was started, of a branch and what follows
    uint64_t landed;   // where that is
};

// Prefixes, then an opcode of one of the maps, then anything.
static inline void make_bytes(uint8_t bytes[15])
{
    static const uint8_t prefixes[] = {0x66, 0x66, 0xf2, 0xf3, 0xf0, 0xf0, 0x67, 0x26, 0x36};
    static const uint8_t escaped[] = {0xa3, 0xab, 0xb3, 0xbb, 0xba, 0xa4, 0xa5, 0xac, 0xad, 0xaf,
                                      0xb0, 0xb1, 0xb6, 0xb7, 0xbe, 0xbf, 0xbc, 0xbd, 0xc0, 0xc1,
                                      0xc3, 0xc7, 0x10, 0x11, 0x12, 0x13, 0x16, 0x17, 0x28, 0x29,
                                      0x2b, 0x6e, 0x7e, 0xd6, 0x6f, 0x7f, 0xe7, 0xf0};
    unsigned at = 0;
    for (unsigned i = 0; i < 15; i++)
        bytes[i] = (uint8_t)draw(256);
    while (at < 4 && draw(5) < 2)
        bytes[at++] = prefixes[draw(ARRAY_LENGTH(prefixes))];
    if (draw(2))
        bytes[at++] = (uint8_t)(0x40 + draw(16)); // REX, or INC and DEC
    switch (draw(5)) {
    case 0:
        bytes[at] = 0x0f;
        break;
    case 1:
        bytes[at] = 0x0f;
        bytes[at + 1] = escaped[draw(ARRAY_LENGTH(escaped))];
        break;
    case 2:
        bytes[at] = (uint8_t)(0x80 + draw(0x30));
        break;
    case 3:
        bytes[at] = (uint8_t)(0xc0 + draw(0x40));
        break;
    default:
        break;
    }
    if (draw(40) == 0)
        memcpy(bytes + at, draw(2) ? "\x0f\x38\xf0" : "\x0f\x38\xf1", 3);
}

static inline uint64_t segment_base(const struct oracle_cpu *cpu, unsigned segment)
{
    return cpu->bits == 16 ? guest.vcpu.segment[segment].base : 0;
}

// Moves the memory operand to `target` by its base register or its displacement. False: this one
// cannot be moved.
static inline bool aim(const struct oracle_cpu *cpu, uint8_t bytes[15],
                       struct instruction *instruction, uint64_t target)
{
    uint64_t *gpr = guest.vcpu.gpr;
    unsigned size = instruction->address_size;
    uint64_t wanted = target - segment_base(cpu, instruction->segment);
    if (wanted & ~size_mask(size))
        return false;
    if (instruction->index != REGISTER_NONE)
        wanted -= gpr[instruction->index] * instruction->scale;
    if (instruction->base < 16) {
        if (instruction->index == instruction->base)
            return false;
        uint64_t value = (wanted - instruction->displacement) & size_mask(size);
        gpr[instruction->base] = value; // bits above the address size are as good as any
        return true;
    }
    if (instruction->base == REGISTER_RIP)
        wanted -= guest.vcpu.rip + instruction->length;
    unsigned width = size == 8 ? 4 : size;
    if (instruction->base == REGISTER_NONE && instruction->displacement >> 32 &&
        instruction->index == REGISTER_NONE)
        width = size; // absolute offset
    for (unsigned at = 1; at + width <= instruction->length; at++) {
        struct instruction moved;
        uint8_t patched[15];
        memcpy(patched, bytes, 15);
        memcpy(patched + at, &wanted, width);
        if (memcmp(bytes + at, &instruction->displacement, width) == 0 &&
            decode(patched, 15, cpu->bits, false, &moved) == DECODE_OK &&
            (moved.displacement & size_mask(size)) == (wanted & size_mask(size)) &&
            moved.length == instruction->length && moved.operation == instruction->operation &&
            moved.immediate == instruction->immediate) {
            memcpy(bytes, patched, 15);
            *instruction = moved;
            return true;
        }
    }
    return false;
}

// In the device, across one of its ends, or near it in RAM.
static inline uint64_t draw_target(const struct instruction *instruction)
{
    uint64_t target;
    switch (draw(6)) {
    case 0:
        target = DEVICE - draw(16);
        break;
    case 1:
        target = DEVICE + DEVICE_SIZE - draw(16);
        break;
    case 2:
        target = DEVICE - 0x400 + draw(0x400);
        break;
    default:
        target = DEVICE + draw(DEVICE_SIZE - 64);
        break;
    }
    // libunicorn's CPU does not check the alignment that these demand.
    if (instruction->vector & VECTOR_ALIGNED)
        target &= ~UINT64_C(15);
    return target;
}

static inline bool place_string(const struct oracle_cpu *cpu, const struct instruction *instruction)
{
    uint64_t *gpr = guest.vcpu.gpr;
    uint64_t mask = size_mask(instruction->address_size);
    uint64_t from = draw_target(instruction) - segment_base(cpu, instruction->segment);
    uint64_t to = draw_target(instruction) - segment_base(cpu, ES);
    if ((from | to) & ~mask)
        return false;
    gpr[RSI] = from;
    gpr[RDI] = to;
    gpr[RCX] = draw(40);
    return true;
}

// Whether the stack is its memory.
static inline bool is_stack_only(const struct instruction *instruction)
{
    return !instruction->is_memory &&
           (instruction->operation >= OP_PUSH && instruction->operation <= OP_RET);
}

static inline bool is_branch(const struct instruction *instruction)
{
    return instruction->operation >= OP_CALL && instruction->operation <= OP_JMP;
}

// RET and JMP through memory find an address that they can go to.
static inline void place_address(const struct oracle_cpu *cpu, uint64_t at)
{
    uint64_t address = draw(UINT64_C(1) << (cpu->bits == 16 ? 16 : 31));
    memcpy(cpu->memory + at, &address, sizeof(address));
    for (unsigned i = 0; i < sizeof(address); i++) {
        uint64_t to = at + i - DEVICE;
        *(to < DEVICE_SIZE ? guest.device + to : guest.ram + at + i) = cpu->memory[at + i];
    }
}

static inline bool place_stack(const struct oracle_cpu *cpu, const struct instruction *instruction)
{
    uint64_t at = draw_target(instruction);
    guest.vcpu.gpr[RSP] = at - segment_base(cpu, SS);
    guest.vcpu.gpr[RBP] = draw_target(instruction) - segment_base(cpu, SS);
    place_address(cpu, at);
    return true;
}

static inline bool is_legacy_prefix(uint8_t byte)
{
    return (byte & 0xe7) == 0x26 || (byte >= 0x64 && byte <= 0x67) || byte == 0xf0 ||
           byte == 0xf2 || byte == 0xf3;
}

// What libunicorn does not know, or knows otherwise than the SDM: MOVBE; the second encoding of
// TEST; a REX prefix that another prefix makes void; two of 66, F2 and F3 where the opcode needs
// one; SHLD and SHRD that take their RIP-relative address from before the immediate.
static inline bool is_beyond_the_oracle(const struct oracle_cpu *cpu, const uint8_t bytes[15],
                                        const struct instruction *instruction)
{
    unsigned at = 0;
    bool has_66 = false, has_f2 = false, has_f3 = false;
    for (; is_legacy_prefix(bytes[at]); at++) {
        has_66 |= bytes[at] == 0x66;
        has_f2 |= bytes[at] == 0xf2;
        has_f3 |= bytes[at] == 0xf3;
    }
    bool void_rex = cpu->bits == 64 && (bytes[at] & 0xf0) == 0x40 &&
                    (is_legacy_prefix(bytes[at + 1]) || (bytes[at + 1] & 0xf0) == 0x40);
    bool mixed =
        (has_f2 && has_f3) || (has_66 && (has_f2 || has_f3) && instruction->operation == OP_VECTOR);
    bool second_test = instruction->operation == OP_TEST && instruction->form == FORM_RM_IMM &&
                       (instruction->reg & 7) == 1;
    bool extended_group = instruction->operation == OP_MOV && instruction->form == FORM_RM_IMM &&
                          instruction->reg != 0;
    bool locked_neg = instruction->operation == OP_NEG && instruction->lock;
    bool needs_descriptors =
        instruction->operation >= OP_JMP_FAR && instruction->operation <= OP_SYSTEM;
    // RET whose constant has bit 15 set, and ENTER of another width than its stack or with frames.
    bool odd_frame =
        (instruction->operation == OP_RET && (instruction->immediate & 0x8000)) ||
        (instruction->operation == OP_ENTER &&
         (instruction->operand_size * 8U != cpu->bits || instruction->immediate & 0x1e0000));
    bool amd_branch = cpu->bits == 64 && has_66 && is_branch(instruction);
    bool mmx = instruction->vector & VECTOR_MMX;
    bool clflushopt = instruction->operation == OP_CACHE_LINE && has_66;
    return needs_descriptors || odd_frame || amd_branch || mmx || void_rex || mixed || clflushopt ||
           second_test || extended_group || locked_neg || instruction->operation == OP_MOVBE ||
           (instruction->form == FORM_RM_REG_IMM && instruction->base == REGISTER_RIP);
}

// Draws an instruction that reaches memory, and a state for it to run in.
static inline bool make_case(const struct oracle_cpu *cpu, uint8_t bytes[15],
                             struct instruction *instruction)
{
    uint64_t *gpr = guest.vcpu.gpr;
    make_bytes(bytes);
    if (decode(bytes, 15, cpu->bits, false, instruction) != DECODE_OK ||
        is_beyond_the_oracle(cpu, bytes, instruction))
        return false;
    for (unsigned i = 0; i < 16; i++)
        gpr[i] = draw_value();
    gpr[RSP] = (cpu->bits == 16 ? 0x4000 : DEVICE) + 0x20 + draw(0x1000);
    if (draw(2))
        gpr[RCX] = draw(70); // shift counts
    if (instruction->operation >= OP_BT && instruction->operation <= OP_BTC)
        gpr[instruction->reg] =
            draw(2) ? draw(2000) : (draw_value() & ~UINT64_C(0xffff)) | draw(600);
    for (unsigned i = 0; i < 16 && cpu->bits != 64; i++)
        gpr[i] &= 0xffffffff;
    guest.vcpu.rip = cpu->bits == 16 ? cpu->code - CODE : cpu->code;
    guest.vcpu.rflags = RFLAGS_FIXED | (draw(STATUS + 1) & STATUS) | (draw(2) ? RFLAGS_DF : 0);
    if (instruction->form == FORM_STRING)
        return place_string(cpu, instruction);
    if (is_stack_only(instruction))
        return place_stack(cpu, instruction);
    uint64_t target = draw_target(instruction);
    if (!instruction->is_memory || !aim(cpu, bytes, instruction, target))
        return false;
    if (is_branch(instruction))
        place_address(cpu, target);
    if (instruction->operation >= OP_BT && instruction->operation <= OP_BTC) {
        uint64_t offset = (uint64_t)sign_extend(gpr[instruction->reg], instruction->operand_size);
        return (int64_t)offset < 0x8000 && (int64_t)offset > -0x8000;
    }
    return true;
}

// The flags that the instruction defines or leaves alone.
static inline uint64_t defined_flags(const struct instruction *instruction)
{
    uint64_t count = instruction->form == FORM_RM_ONE ? 1
                     : instruction->form == FORM_RM_CL || instruction->form == FORM_RM_REG_CL
                         ? guest.vcpu.gpr[RCX]
                         : instruction->immediate;
    count &= instruction->operand_size == 8 ? 0x3f : 0x1f;
    unsigned bits = instruction->operand_size * 8U;
    uint64_t overflow = count == 1 ? 0 : RFLAGS_OF;
    switch ((unsigned)instruction->operation) {
    case OP_AND:
    case OP_OR:
    case OP_XOR:
    case OP_TEST:
        return STATUS & ~RFLAGS_AF;
    case OP_ROL:
    case OP_ROR:
    case OP_RCL:
    case OP_RCR:
        return count == 0 ? STATUS : STATUS & ~overflow;
    case OP_SHL:
    case OP_SAL:
    case OP_SHR:
        return count == 0 ? STATUS
                          : STATUS & ~(overflow | RFLAGS_AF | (count >= bits ? RFLAGS_CF : 0));
    case OP_SAR:
        return count == 0 ? STATUS : STATUS & ~(overflow | RFLAGS_AF);
    case OP_SHLD:
    case OP_SHRD:
        if (count > bits)
            return 0;
        return count == 0 ? STATUS : STATUS & ~(overflow | RFLAGS_AF);
    case OP_MUL:
    case OP_IMUL:
    case OP_IMUL_REG:
        return RFLAGS_CF | RFLAGS_OF;
    case OP_DIV:
    case OP_IDIV:
        return 0;
    case OP_BT:
    case OP_BTS:
    case OP_BTR:
    case OP_BTC:
        return RFLAGS_CF | RFLAGS_ZF;
    case OP_BSF:
    case OP_BSR:
        return RFLAGS_ZF;
    default:
        return STATUS;
    }
}

// SHLD and SHRD of 16 bits by more than 16; the upper half of the register of BSF and BSR of a
// 32-bit zero.
static inline bool is_incomparable(const struct instruction *instruction, const struct vcpu *before)
{
    bool is_scan = instruction->operation == OP_BSF || instruction->operation == OP_BSR;
    if (is_scan && instruction->operand_size == 4 && (guest.vcpu.rflags & RFLAGS_ZF))
        return true;
    if (instruction->operation == OP_CMPXCHG && instruction->operand_size == 4 &&
        (guest.vcpu.rflags & RFLAGS_ZF) && before->gpr[RAX] >> 32)
        return true;
    uint64_t count =
        instruction->form == FORM_RM_REG_CL ? before->gpr[RCX] : instruction->immediate;
    return (instruction->operation == OP_SHLD || instruction->operation == OP_SHRD) &&
           instruction->operand_size == 2 && (count & 0x1f) > 16;
}
