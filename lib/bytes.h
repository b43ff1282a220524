// Little-endian numbers at any alignment, as tables and structures of firmware hold them. The
// caller checks bounds.
#pragma once

#include <stdint.h>

static inline uint16_t bytes_get16(const uint8_t *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

static inline uint32_t bytes_get32(const uint8_t *at)
{
    return bytes_get16(at) | (uint32_t)bytes_get16(at + 2) << 16;
}

static inline uint64_t bytes_get64(const uint8_t *at)
{
    return bytes_get32(at) | (uint64_t)bytes_get32(at + 4) << 32;
}
