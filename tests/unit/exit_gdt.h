// A 32-bit guest with a GDT: code and data of both privileges, three tasks and an LDT. For the
// tests of what loads descriptors.
#pragma once

#include "tests/unit/exit_support.h"

#include "vm/emulate/descriptor.h"

#define GDT    0x1000
#define TASK_A 0x2000 // the running one
#define TASK_B 0x3000 // 32-bit
#define TASK_C 0x4000 // 16-bit
#define STACK  0x8000

// Selectors.
#define CODE0 0x08
#define DATA0 0x10
#define CODE3 0x1b
#define DATA3 0x23
#define TSS_A 0x28
#define TSS_B 0x30
#define TSS_C 0x38
#define LDT   0x40
#define GONE  0x48 // not present

static inline void put(uint64_t at, unsigned size, uint64_t value)
{
    memcpy(&fixture.ram[at], &value, size);
}

static inline uint64_t get(uint64_t at, unsigned size)
{
    uint64_t value = 0;
    memcpy(&value, &fixture.ram[at], size);
    return value;
}

static inline void set_descriptor(uint16_t selector, uint32_t base, uint32_t limit, uint32_t access)
{
    uint64_t low = (limit & 0xffff) | (uint64_t)(limit & 0xf0000) << 32 |
                   (uint64_t)(base & 0xffffff) << 16 | (uint64_t)(base >> 24) << 56 |
                   (uint64_t)access << 40;
    put(GDT + (selector & SELECTOR_INDEX), 8, low);
}

static inline uint8_t type_of(uint16_t selector)
{
    return fixture.ram[GDT + (selector & SELECTOR_INDEX) + 5];
}

// A 32-bit guest without paging that runs task A.
static inline void fixture_with_gdt(void)
{
    fixture_protected_mode();
    VCPU->gdtr = (struct table_register){.base = GDT, .limit = 0x4f};
    set_descriptor(CODE0, 0, 0xfffff, 0xc09a);
    set_descriptor(DATA0, 0, 0xfffff, 0xc092);
    set_descriptor(CODE3, 0, 0xfffff, 0xc0fa);
    set_descriptor(DATA3, 0, 0xfffff, 0xc0f2);
    set_descriptor(TSS_A, TASK_A, 0x67, 0x8b);
    set_descriptor(TSS_B, TASK_B, 0x67, 0x89);
    set_descriptor(TSS_C, TASK_C, 0x2b, 0x81);
    set_descriptor(LDT, 0x5000, 0x3f, 0x82);
    set_descriptor(GONE, 0, 0xfffff, 0x4012);
    VCPU->segment[TR] =
        (struct segment){.selector = TSS_A, .base = TASK_A, .limit = 0x67, .access = 0x8b};
    VCPU->segment[CS].selector = CODE0;
}
