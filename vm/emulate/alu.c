// Arithmetic and flags for vm/emulate/emulate.c. SDM: "EFLAGS Register", and the instructions' own
// pages.

#include "vm/emulate/alu.h"

#include "vm/vcpu.h"

#define SIGN(size) BIT((size)*8 - 1)
#define STATUS     (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

static void set_flag(uint64_t *rflags, uint64_t flag, bool value)
{
    *rflags = value ? *rflags | flag : *rflags & ~flag;
}

// ZF, SF and PF.
static void set_result(uint64_t *rflags, unsigned size, uint64_t result)
{
    set_flag(rflags, RFLAGS_ZF, result == 0);
    set_flag(rflags, RFLAGS_SF, result & SIGN(size));
    set_flag(rflags, RFLAGS_PF, !(__builtin_popcount((unsigned)result & 0xff) & 1));
}

static uint64_t add(unsigned size, uint64_t a, uint64_t b, bool carry, uint64_t *rflags)
{
    uint64_t result = (a + b + carry) & size_mask(size);
    set_result(rflags, size, result);
    set_flag(rflags, RFLAGS_CF, result < a || (carry && result == a));
    set_flag(rflags, RFLAGS_AF, (a ^ b ^ result) & 0x10);
    set_flag(rflags, RFLAGS_OF, (a ^ result) & (b ^ result) & SIGN(size));
    return result;
}

// Adds the complement: a borrow is a carry that did not come.
static uint64_t subtract(unsigned size, uint64_t a, uint64_t b, bool borrow, uint64_t *rflags)
{
    uint64_t result = add(size, a, ~b & size_mask(size), !borrow, rflags);
    *rflags ^= RFLAGS_CF | RFLAGS_AF;
    return result;
}

static uint64_t logic(unsigned size, uint64_t result, uint64_t *rflags)
{
    *rflags &= ~STATUS;
    set_result(rflags, size, result);
    return result;
}

uint64_t alu_binary(enum operation operation, unsigned size, uint64_t a, uint64_t b,
                    uint64_t *rflags)
{
    bool carry = *rflags & RFLAGS_CF;
    a &= size_mask(size);
    b &= size_mask(size);
    if (operation == OP_ADD)
        return add(size, a, b, false, rflags);
    if (operation == OP_ADC)
        return add(size, a, b, carry, rflags);
    if (operation == OP_SBB)
        return subtract(size, a, b, carry, rflags);
    if (operation == OP_OR)
        return logic(size, a | b, rflags);
    if (operation == OP_XOR)
        return logic(size, a ^ b, rflags);
    if (operation == OP_AND || operation == OP_TEST)
        return logic(size, a & b, rflags);
    return subtract(size, a, b, false, rflags); // SUB, CMP
}

uint64_t alu_unary(enum operation operation, unsigned size, uint64_t value, uint64_t *rflags)
{
    uint64_t carry = *rflags & RFLAGS_CF;
    value &= size_mask(size);
    if (operation == OP_NOT)
        return ~value & size_mask(size);
    if (operation == OP_NEG)
        return subtract(size, 0, value, false, rflags);
    uint64_t result = operation == OP_INC ? add(size, value, 1, false, rflags)
                                          : subtract(size, value, 1, false, rflags);
    *rflags = (*rflags & ~RFLAGS_CF) | carry; // INC and DEC leave it alone
    return result;
}

// What moves in where `out` moves out. `sign` is the operand's own, `fill` the next bit of the
// other.
static bool bit_in(enum operation operation, bool out, bool carry, bool sign, bool fill)
{
    if (operation == OP_ROL || operation == OP_ROR)
        return out;
    if (operation == OP_RCL || operation == OP_RCR)
        return carry;
    return operation == OP_SAR ? sign : fill;
}

uint64_t alu_shift(enum operation operation, unsigned size, uint64_t value, uint64_t fill,
                   unsigned count, uint64_t *rflags)
{
    bool left = (operation - OP_ROL) % 2 == 0, carry = *rflags & RFLAGS_CF;
    uint64_t leaving = left ? SIGN(size) : 1, entering = left ? 1 : SIGN(size);
    value &= size_mask(size);
    if (count == 0)
        return value;
    for (; count; count--) {
        bool out = value & leaving;
        bool in = bit_in(operation, out, carry, value & SIGN(size), fill & leaving);
        value = ((left ? value << 1 : value >> 1) & size_mask(size)) | (in ? entering : 0);
        fill = left ? fill << 1 : fill >> 1;
        carry = out;
    }
    if (operation > OP_RCR) // rotations leave the flags of a result alone
        logic(size, value, rflags);
    bool top = value & SIGN(size), next = value & SIGN(size) >> 1;
    set_flag(rflags, RFLAGS_CF, carry);
    set_flag(rflags, RFLAGS_OF, left ? top != carry : top != next);
    return value;
}

void alu_multiply(bool is_signed, unsigned size, uint64_t a, uint64_t b, uint64_t *low,
                  uint64_t *high, uint64_t *rflags)
{
    uint64_t mask = size_mask(size), sign = SIGN(size);
    unsigned __int128 product = (unsigned __int128)(a & mask) * (b & mask);
    if (is_signed)
        product = (unsigned __int128)((__int128)sign_extend(a, size) * sign_extend(b, size));
    *low = (uint64_t)product & mask;
    *high = (uint64_t)(product >> (size * 8)) & mask;
    uint64_t extension = is_signed && (*low & sign) ? mask : 0;
    logic(size, *low, rflags);
    set_flag(rflags, RFLAGS_CF | RFLAGS_OF, *high != extension);
}

// 2 * size bytes by size bytes, unsigned, by the CPU's own: the compiler would call a library.
// False: it overflows.
static bool divide(unsigned size, uint64_t divisor, uint64_t *low, uint64_t *high)
{
    if (*high >= divisor)
        return false;
    if (size < 8) {
        *low |= *high << size * 8;
        *high = 0;
    }
    __asm__("divq %2" : "+a"(*low), "+d"(*high) : "r"(divisor) : "cc");
    return true;
}

bool alu_divide(bool is_signed, unsigned size, uint64_t divisor, uint64_t *low, uint64_t *high)
{
    uint64_t mask = size_mask(size), sign = SIGN(size);
    uint64_t quotient = *low & mask, remainder = *high & mask;
    divisor &= mask;
    bool dividend_negative = is_signed && (remainder & sign);
    bool divisor_negative = is_signed && (divisor & sign);
    if (dividend_negative) {
        quotient = -quotient & mask;
        remainder = (~remainder + (quotient == 0)) & mask;
    }
    if (divisor_negative)
        divisor = -divisor & mask;
    if (!divide(size, divisor, &quotient, &remainder))
        return false;
    bool negative = dividend_negative != divisor_negative;
    if (is_signed && quotient > sign - !negative)
        return false;
    *low = (negative ? -quotient : quotient) & mask;
    *high = (dividend_negative ? -remainder : remainder) & mask;
    return true;
}

uint64_t alu_scan(enum operation operation, uint64_t value, uint64_t *rflags)
{
    set_flag(rflags, RFLAGS_ZF, value == 0);
    if (value == 0)
        return 0;
    return operation == OP_BSF ? lowest_bit(value) : highest_bit(value);
}

bool alu_condition(unsigned condition, uint64_t rflags)
{
    bool sign = rflags & RFLAGS_SF, overflow = rflags & RFLAGS_OF, zero = rflags & RFLAGS_ZF;
    const bool holds[8] = {
        overflow,
        rflags & RFLAGS_CF,
        zero,
        zero || (rflags & RFLAGS_CF),
        sign,
        rflags & RFLAGS_PF,
        sign != overflow,
        zero || sign != overflow,
    };
    return holds[condition >> 1 & 7] != (condition & 1);
}
