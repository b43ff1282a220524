// One instruction of a guest in 64-bit mode, run by the emulator, and what is asserted of it.
#pragma once

#include "tests/unit/guest.h"

#include "tests/unit/emulate.h"
#include "vm/emulate/walk.h"

#define CODE      UINT64_C(0x1000)
#define RAM_PAGE  UINT64_C(0x5000) // mapped one to one, with the next one
#define DEVICE_AT UINT64_C(0x8000) // linear address of the device's two pages
#define ABSENT    UINT64_C(0x30000)
#define RW        (PTE_P | PTE_W | PTE_A | PTE_D)

static struct vcpu before;
static uint8_t ram_before[0x100000];

static inline void long_mode(void)
{
    guest_long_mode();
    guest_map(CODE, CODE, PTE_P | PTE_U | PTE_A);
    guest_map(RAM_PAGE, RAM_PAGE, RW | PTE_U);
    guest_map(RAM_PAGE + 0x1000, RAM_PAGE + 0x1000, RW | PTE_U);
    guest_map(DEVICE_AT, DEVICE, RW | PTE_U);
    guest_map(DEVICE_AT + 0x1000, DEVICE + 0x1000, RW | PTE_U);
    guest_map(0x7000, 0x7000, RW | PTE_U);
    guest_map(0xa000, 0xa000, PTE_P | PTE_U | PTE_A); // read-only
    guest.vcpu.rip = CODE;
    guest.vcpu.gpr[RDI] = DEVICE_AT + 0x10;
    guest.vcpu.gpr[RSI] = RAM_PAGE + 0x10;
    guest.vcpu.gpr[RSP] = RAM_PAGE + 0x800;
}

static inline verdict_t run(const char *bytes, unsigned length)
{
    struct exit exit = {.tsc = 1234};
    uint64_t at = guest.vcpu.segment[CS].base + guest.vcpu.rip;
    memcpy(guest.ram + at, bytes, length);
    guest.vcpu.dirty = 0;
    guest.accesses = 0;
    before = guest.vcpu;
    memcpy(ram_before, guest.ram, sizeof(ram_before));
    return emulate(&guest.vcpu, &exit);
}

#define RUN(bytes) run(bytes, sizeof(bytes) - 1)

static inline void expect_done(verdict_t verdict, unsigned length)
{
    assert_int_equal(verdict.kind, VERDICT_NEXT);
    assert_int_equal(verdict.detail, length);
}

#define assert_done(bytes) expect_done(RUN(bytes), sizeof(bytes) - 1)

// The first law: a fault has changed nothing but CR2.
static inline void assert_nothing_changed(void)
{
    before.cr2 = guest.vcpu.cr2;
    before.cr2_dirty = guest.vcpu.cr2_dirty;
    assert_memory_equal(&before, &guest.vcpu, sizeof(before));
    assert_memory_equal(ram_before, guest.ram, sizeof(ram_before));
    for (unsigned i = 0; i < guest.accesses && i < 64; i++)
        assert_false(guest.log[i].write);
}

static inline void expect_fault(verdict_t verdict, unsigned vector, bool has_error, uint32_t error)
{
    assert_fault(verdict, vector, has_error, error);
    assert_nothing_changed();
}

#define assert_faults(bytes, vector, has_error, error)                                             \
    expect_fault(RUN(bytes), vector, has_error, error)

static inline uint32_t device_word(unsigned at)
{
    uint32_t value;
    memcpy(&value, guest.device + at, 4);
    return value;
}
