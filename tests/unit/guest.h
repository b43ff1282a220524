// A guest for tests of what reaches into guest memory: one vCPU, 4 MiB of RAM at 0, one page of a
// device that behaves as RAM and keeps a log, and a builder of 4-level paging structures.
#pragma once

#include "tests/unit/support.h"

#include "vm/vm.h"
#include "tests/ram.h"

#ifndef DEVICE // a test may put it elsewhere
#define DEVICE UINT64_C(0xfe000000)
#endif

#define RAM_SIZE    (UINT64_C(4) << 20)
#define TABLES      UINT64_C(0x200000) // paging structures grow upwards from here
#define DEVICE_SIZE UINT64_C(8192)
#define PTE_P       UINT64_C(1)
#define PTE_W       UINT64_C(2)
#define PTE_U       UINT64_C(4)
#define PTE_A       UINT64_C(0x20)
#define PTE_D       UINT64_C(0x40)
#define PTE_PS      UINT64_C(0x80)
#define PTE_NX      BIT(63)
#define AR_CODE64   (UINT32_C(0xb) | AR_CODE_DATA | AR_PRESENT | AR_LONG | AR_GRANULAR)
#define AR_CODE32   (UINT32_C(0xb) | AR_CODE_DATA | AR_PRESENT | AR_DB | AR_GRANULAR)
#define AR_CODE16   (UINT32_C(0xb) | AR_CODE_DATA | AR_PRESENT)
#define AR_DATA     (UINT32_C(0x3) | AR_CODE_DATA | AR_PRESENT | AR_DB | AR_GRANULAR)
#define AR_DATA16   (UINT32_C(0x3) | AR_CODE_DATA | AR_PRESENT)

struct device_log {
    uint64_t address, value;
    unsigned size;
    bool write;
};

struct guest {
    struct vm vm;
    struct vcpu vcpu;
    uint64_t next_table;
    uint8_t device[DEVICE_SIZE];
    unsigned accesses;
    bool missed; // an access outside RAM and the device
    bool exerts; // an access makes the device do much
    struct device_log log[64];
    _Alignas(64) uint8_t fpu[4096];
    _Alignas(4096) uint8_t ram[RAM_SIZE];
};

static struct guest guest;

void vm_mmio_access(struct vcpu *vcpu, struct access *access)
{
    assert_ptr_equal(vcpu, &guest.vcpu);
    assert_int_equal(access->now, 1234);
    if (access->write)
        assert_int_equal(access->value & ~size_mask(access->size), 0);
    uint64_t at = access->offset - DEVICE;
    bool missed = at >= DEVICE_SIZE || access->size > DEVICE_SIZE - at;
    guest.missed |= missed;
    if (missed)
        access->value = access->write ? access->value : size_mask(access->size);
    else if (access->write)
        memcpy(guest.device + at, &access->value, access->size);
    else
        memcpy(&access->value, guest.device + at, access->size);
    if (guest.accesses < 64)
        guest.log[guest.accesses] =
            (struct device_log){access->offset, access->value, access->size, access->write};
    guest.accesses++;
    if (guest.exerts)
        vm_exert(vcpu->vm);
}

static inline void guest_segments(uint32_t code, uint32_t data, uint32_t limit)
{
    for (unsigned i = 0; i < SEGMENTS; i++)
        guest.vcpu.segment[i] = (struct segment){0, limit, data, 8};
    guest.vcpu.segment[CS].access = code;
}

// RAM is cleared only where tests write: the low 2 MiB and the tables.
static inline void guest_reset(void)
{
    memset(&guest, 0, offsetof(struct guest, ram));
    memset(guest.ram, 0, sizeof(guest.ram));
    clock_init(&guest.vm.clock, 1000000000, 0); // so that VM time is the TSC
    guest.vm.cpuid.physical_width = 40;
    ram_is(&guest.vm.memory, guest.ram, RAM_SIZE);
    guest.vcpu.vm = &guest.vm;
    guest.vcpu.fpu = guest.fpu;
    guest.vcpu.fetched = STATE_ALL;
    guest.vcpu.rflags = RFLAGS_FIXED;
    guest.next_table = TABLES;
    guest_segments(AR_CODE16, AR_DATA16, 0xffff);
}

static inline void guest_real_mode(void)
{
    guest_reset();
    guest.vcpu.cr0 = CR0_ET | CR0_NE;
}

static inline void guest_flat32(void)
{
    guest_reset();
    guest.vcpu.cr0 = CR0_PE | CR0_ET | CR0_NE;
    guest.vcpu.cr4 = CR4_OSFXSR;
    guest_segments(AR_CODE32, AR_DATA, 0xffffffff);
}

static inline uint64_t *guest_word(uint64_t at)
{
    return (uint64_t *)(guest.ram + at);
}

static inline uint64_t guest_new_table(void)
{
    uint64_t table = guest.next_table;
    guest.next_table += PAGE_SIZE;
    return table;
}

// The 4-level (or, with CR4.LA57, 5-level) page-table entry of `linear`, its tables made as needed
// with all rights.
static inline uint64_t *guest_entry(uint64_t linear)
{
    uint64_t table = guest.vcpu.cr3;
    for (unsigned shift = guest.vcpu.cr4 & CR4_LA57 ? 48 : 39; shift > 12; shift -= 9) {
        uint64_t *entry = guest_word(table + (linear >> shift & 511) * 8);
        if (!*entry)
            *entry = guest_new_table() | PTE_P | PTE_W | PTE_U | PTE_A;
        table = *entry & BITS(51, 12);
    }
    return guest_word(table + (linear >> 12 & 511) * 8);
}

static inline void guest_map(uint64_t linear, uint64_t physical, uint64_t flags)
{
    *guest_entry(linear) = physical | flags;
}

// 64-bit mode, paging on, nothing mapped.
static inline void guest_long_mode(void)
{
    guest_reset();
    guest.vcpu.cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
    guest.vcpu.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXSAVE;
    guest.vcpu.efer = EFER_LME | EFER_LMA | EFER_NXE;
    guest.vcpu.xcr0 = 7;
    guest.vcpu.cr3 = guest_new_table();
    guest_segments(AR_CODE64, AR_DATA, 0xffffffff);
}

static inline void assert_fault(verdict_t verdict, unsigned vector, bool has_error, uint32_t error)
{
    assert_int_equal(verdict.kind, VERDICT_FAULT);
    assert_int_equal(verdict.detail, vector);
    assert_int_equal(verdict.has_error, has_error);
    assert_int_equal(verdict.value, error);
}
