// Little-endian numbers at any alignment, as files and tables of firmware hold them. The caller
// checks bounds. (The compiler's own __builtin_memcpy(): freestanding, the other would be a call.)
#pragma once

#include "lib/bits.h"
#include "lib/string.h"

static inline uint16_t get16(const uint8_t *from)
{
    uint16_t value;
    __builtin_memcpy(&value, from, sizeof(value));
    return value;
}

static inline uint32_t get32(const uint8_t *from)
{
    uint32_t value;
    __builtin_memcpy(&value, from, sizeof(value));
    return value;
}

static inline uint64_t get64(const uint8_t *from)
{
    uint64_t value;
    __builtin_memcpy(&value, from, sizeof(value));
    return value;
}

static inline void put16(uint8_t *to, uint16_t value)
{
    __builtin_memcpy(to, &value, sizeof(value));
}

static inline void put32(uint8_t *to, uint32_t value)
{
    __builtin_memcpy(to, &value, sizeof(value));
}

static inline void put64(uint8_t *to, uint64_t value)
{
    __builtin_memcpy(to, &value, sizeof(value));
}

// Of all bytes, modulo 256.
static inline uint8_t sum8(const uint8_t *bytes, size_t size)
{
    uint8_t sum = 0;
    while (size--)
        sum = (uint8_t)(sum + *bytes++);
    return sum;
}
