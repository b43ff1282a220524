// Bits, masks and fields of registers, as the manuals draw them. Included everywhere.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BIT(n)          (UINT64_C(1) << (n))
#define BIT32(n)        (UINT32_C(1) << (n))
#define BITS(high, low) ((~UINT64_C(0) >> (63 - (high))) & (~UINT64_C(0) << (low)))

// The field of `value` under `mask`, moved down to bit 0; and a value moved up under a mask.
#define FIELD_GET(mask, value)  (((value) & (mask)) / ((mask) & (~(mask) + 1)))
#define FIELD_MAKE(mask, field) (((field) * ((mask) & (~(mask) + 1))) & (mask))

#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)       ((a) < (b) ? (a) : (b))
#define MAX(a, b)       ((a) > (b) ? (a) : (b))

// The struct of type `type` whose field `field` is at `pointer`.
#define CONTAINER_OF(pointer, type, field) ((type *)((char *)(pointer)-offsetof(type, field)))

#define MUST_CHECK __attribute__((warn_unused_result))

// MIN for what another CPU changes meanwhile, or what is not to be computed twice.
static inline uint64_t min_once(uint64_t a, uint64_t b)
{
    return MIN(a, b);
}

static inline uint64_t align_down(uint64_t value, uint64_t alignment)
{
    return value & ~(alignment - 1);
}

static inline uint64_t align_up(uint64_t value, uint64_t alignment)
{
    return align_down(value + alignment - 1, alignment);
}

static inline bool is_aligned(uint64_t value, uint64_t alignment)
{
    return (value & (alignment - 1)) == 0;
}

// An index that a guest chose, after the branch that compared it: speculation may run ahead of that
// branch, but not of arithmetic. What is not below `count` becomes 0; with a power of two an AND
// does.
static inline uint64_t index_below(uint64_t index, uint64_t count)
{
    uint64_t mask;
    __asm__("cmp %2, %1\n\tsbb %0, %0" : "=r"(mask) : "r"(index), "r"(count) : "cc");
    return index & mask;
}

static inline uint64_t index_and(uint64_t index, uint32_t mask)
{
    __asm__("and %1, %0" : "+r"(index) : "re"((uint64_t)mask) : "cc");
    return index;
}

// The number of bytes `size` (1, 2, 4, 8) as a mask over a 64-bit value.
static inline uint64_t size_mask(unsigned size)
{
    return ~UINT64_C(0) >> (-(size * 8) & 63);
}

// The number of `size` bytes (1, 2, 4, 8) with its sign, whatever the bits above them.
static inline int64_t sign_extend(uint64_t value, unsigned size)
{
    unsigned unused = 64 - size * 8;
    return (int64_t)(value << unused) >> unused;
}

// How many bits are set. (The compiler's own would be a call of libgcc.)
static inline unsigned bit_count(uint64_t value)
{
    value -= (value >> 1) & UINT64_C(0x5555555555555555);
    value = (value & UINT64_C(0x3333333333333333)) + ((value >> 2) & UINT64_C(0x3333333333333333));
    value = (value + (value >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (unsigned)((value * UINT64_C(0x0101010101010101)) >> 56);
}

// Index of the highest and the lowest bit set. `value` must not be zero.
static inline unsigned highest_bit(uint64_t value)
{
    return (unsigned)(UINT64_C(63) ^ (uint64_t)__builtin_clzll(value));
}

static inline unsigned lowest_bit(uint64_t value)
{
    return (unsigned)__builtin_ctzll(value);
}
