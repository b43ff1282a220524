// The three kinds of address, so that the compiler tells them apart (they cost nothing at -O2).
#pragma once

#include "lib/bits.h"

// Guest-physical, host-physical and guest-linear (the SDM's word for a guest's virtual address).
typedef struct {
    uint64_t value;
} gpa_t;
typedef struct {
    uint64_t value;
} hpa_t;
typedef struct {
    uint64_t value;
} gva_t;

#define PAGE_SIZE UINT64_C(4096)
#define PAGE_2M   (UINT64_C(2) << 20)
#define PAGE_1G   (UINT64_C(1) << 30)

static inline gpa_t gpa(uint64_t value)
{
    return (gpa_t){value};
}
static inline hpa_t hpa(uint64_t value)
{
    return (hpa_t){value};
}
static inline gva_t gva(uint64_t value)
{
    return (gva_t){value};
}

// Whether a linear address is canonical for `width` (48 or 57) bits.
static inline bool is_canonical(uint64_t address, unsigned width)
{
    return (uint64_t)((int64_t)(address << (64 - width)) >> (64 - width)) == address;
}
