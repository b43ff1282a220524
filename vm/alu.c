// Arithmetic and flags for vm/emulate.c. SDM: "EFLAGS Register", and the instructions' own pages.

#include "vm/alu.h"

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

static uint64_t subtract(unsigned size, uint64_t a, uint64_t b, bool borrow, uint64_t *rflags)
{
    uint64_t result = (a - b - borrow) & size_mask(size);
    set_result(rflags, size, result);
    set_flag(rflags, RFLAGS_CF, a < b || (borrow && a == b));
    set_flag(rflags, RFLAGS_AF, (a ^ b ^ result) & 0x10);
    set_flag(rflags, RFLAGS_OF, (a ^ b) & (a ^ result) & SIGN(size));
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

// Rotates through CF: a ring of one bit more than the operand has.
static uint64_t rotate_carry(bool left, unsigned size, uint64_t value, unsigned count,
                             uint64_t *rflags)
{
    bool carry = *rflags & RFLAGS_CF;
    for (count %= size * 8 + 1; count; count--) {
        bool out = value & (left ? SIGN(size) : 1);
        value = left ? value << 1 | carry : value >> 1 | (carry ? SIGN(size) : 0);
        carry = out;
    }
    value &= size_mask(size);
    bool top = value & SIGN(size), next = value & SIGN(size) >> 1;
    set_flag(rflags, RFLAGS_CF, carry);
    set_flag(rflags, RFLAGS_OF, left ? top != carry : top != next);
    return value;
}

static uint64_t rotate(bool left, unsigned size, uint64_t value, unsigned count, uint64_t *rflags)
{
    unsigned bits = size * 8, by = count % bits;
    if (by)
        value = left ? value << by | value >> (bits - by) : value >> by | value << (bits - by);
    value &= size_mask(size);
    bool top = value & SIGN(size), next = value & SIGN(size) >> 1, bottom = value & 1;
    set_flag(rflags, RFLAGS_CF, left ? bottom : top);
    set_flag(rflags, RFLAGS_OF, left ? top != bottom : top != next);
    return value;
}

static uint64_t shift_left(unsigned size, uint64_t value, unsigned count, uint64_t *rflags)
{
    unsigned bits = size * 8;
    bool carry = count <= bits && (value >> (bits - count) & 1);
    uint64_t result = count < bits ? value << count & size_mask(size) : 0;
    logic(size, result, rflags);
    set_flag(rflags, RFLAGS_CF, carry);
    set_flag(rflags, RFLAGS_OF, ((result & SIGN(size)) != 0) != carry);
    return result;
}

static uint64_t shift_right(unsigned size, uint64_t value, unsigned count, uint64_t *rflags)
{
    bool carry = count <= size * 8 && (value >> (count - 1) & 1);
    uint64_t result = count < size * 8 ? value >> count : 0;
    logic(size, result, rflags);
    set_flag(rflags, RFLAGS_CF, carry);
    set_flag(rflags, RFLAGS_OF, value & SIGN(size));
    return result;
}

static uint64_t shift_arithmetic(unsigned size, uint64_t value, unsigned count, uint64_t *rflags)
{
    int64_t extended = (int64_t)((value ^ SIGN(size)) - SIGN(size));
    uint64_t result = (uint64_t)(extended >> count) & size_mask(size);
    logic(size, result, rflags);
    set_flag(rflags, RFLAGS_CF, extended >> (count - 1) & 1);
    return result;
}

uint64_t alu_shift(enum operation operation, unsigned size, uint64_t value, unsigned count,
                   uint64_t *rflags)
{
    value &= size_mask(size);
    if (count == 0)
        return value;
    if (operation == OP_ROL || operation == OP_ROR)
        return rotate(operation == OP_ROL, size, value, count, rflags);
    if (operation == OP_RCL || operation == OP_RCR)
        return rotate_carry(operation == OP_RCL, size, value, count, rflags);
    if (operation == OP_SHR)
        return shift_right(size, value, count, rflags);
    if (operation == OP_SAR)
        return shift_arithmetic(size, value, count, rflags);
    return shift_left(size, value, count, rflags);
}

uint64_t alu_double_shift(enum operation operation, unsigned size, uint64_t value, uint64_t fill,
                          unsigned count, uint64_t *rflags)
{
    unsigned bits = size * 8;
    value &= size_mask(size);
    fill &= size_mask(size);
    if (count == 0)
        return value;
    if (count > bits) // 16-bit operands only; result and flags are undefined
        count -= bits;
    bool left = operation == OP_SHLD;
    bool carry = value >> (left ? bits - count : count - 1) & 1;
    uint64_t result = fill;
    if (count < bits)
        result = left ? value << count | fill >> (bits - count)
                      : value >> count | fill << (bits - count);
    result &= size_mask(size);
    logic(size, result, rflags);
    set_flag(rflags, RFLAGS_CF, carry);
    set_flag(rflags, RFLAGS_OF, (result ^ value) & SIGN(size));
    return result;
}

void alu_multiply(bool is_signed, unsigned size, uint64_t a, uint64_t b, uint64_t *low,
                  uint64_t *high, uint64_t *rflags)
{
    uint64_t mask = size_mask(size), sign = SIGN(size);
    unsigned __int128 product = (unsigned __int128)(a & mask) * (b & mask);
    if (is_signed)
        product = (unsigned __int128)((__int128)(int64_t)(((a & mask) ^ sign) - sign) *
                                      (int64_t)(((b & mask) ^ sign) - sign));
    *low = (uint64_t)product & mask;
    *high = (uint64_t)(product >> (size * 8)) & mask;
    uint64_t extension = is_signed && (*low & sign) ? mask : 0;
    logic(size, *low, rflags);
    set_flag(rflags, RFLAGS_CF | RFLAGS_OF, *high != extension);
}

// 2 * size bytes by size bytes, unsigned; there is no 128-bit division without a library. False: it
// overflows.
static bool divide(unsigned size, uint64_t divisor, uint64_t *low, uint64_t *high)
{
    if (*high >= divisor)
        return false;
    uint64_t remainder = *high, quotient = *low;
    for (unsigned i = 0; i < size * 8; i++) {
        bool overflow = remainder & SIGN(size);
        remainder = (remainder << 1 | ((quotient & SIGN(size)) != 0)) & size_mask(size);
        quotient = quotient << 1 & size_mask(size);
        if (overflow || remainder >= divisor) {
            remainder = (remainder - divisor) & size_mask(size);
            quotient |= 1;
        }
    }
    *low = quotient;
    *high = remainder;
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
