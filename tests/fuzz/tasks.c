// See tasks.h.

#include "tests/fuzz/tasks.h"

#include <string.h>

#include "lib/bits.h"

#define LDT         0x2000
#define NEW         0x3800
#define DESCRIPTORS 16
#define FLAGS       UINT32_C(0x3f7fd5) // those that an image of EFLAGS can have
#define PAGE        UINT64_C(0xe7)     // present, writable, user, accessed, dirty, large

// FNV-1a: each input has its own.
struct bytes bytes_of(const uint8_t *data, size_t size)
{
    struct bytes bytes = {data, size, UINT64_C(14695981039346656037)};
    for (size_t i = 0; i < size; i++)
        bytes.seed = (bytes.seed ^ data[i]) * UINT64_C(1099511628211);
    return bytes;
}

uint64_t bytes_take(struct bytes *bytes, unsigned count)
{
    bytes->seed = bytes->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    uint64_t value = bytes->seed >> 32 | bytes->seed << 32;
    value &= UINT64_MAX >> (64 - 8 * count);
    size_t taken = MIN(count, bytes->size);
    memcpy(&value, bytes->data, taken);
    bytes->data += taken;
    bytes->size -= taken;
    return value;
}

static void put(uint8_t *ram, unsigned at, uint64_t value, unsigned size)
{
    memcpy(ram + at, &value, size);
}

// `access` as in the VMCS.
static uint64_t descriptor(uint64_t base, uint64_t limit, uint64_t access)
{
    return (limit & 0xffff) | (base & 0xffffff) << 16 | (access & 0xff) << 40 |
           (limit >> 16 & 0xf) << 48 | (access >> 12 & 0xf) << 52 | (base >> 24 & 0xff) << 56;
}

// Code, data, tasks of both formats, LDTs, and what is none of these.
static uint64_t any_descriptor(struct bytes *bytes)
{
    uint64_t choice = bytes_take(bytes, 2), where = bytes_take(bytes, 2);
    uint64_t limit = choice & 8 ? 0xfffff : bytes_take(bytes, 2);
    uint64_t access = (choice >> 8 & 0x60) | (choice & 0x70 ? 0x80 : 0) | (choice << 4 & 0xd000);
    uint64_t task = TASKS_OLD + where % 32 * 0x80;
    switch (choice % 8) {
    case 0:
        return descriptor(LDT, limit, access | 2);
    case 1:
        return descriptor(task, limit, (access & ~UINT64_C(0x4000)) | 9 | (where & 2));
    case 2:
        return descriptor(task, limit, (access & ~UINT64_C(0x4000)) | 1 | (where & 2));
    case 3:
        return bytes_take(bytes, 8);
    case 4:
    case 5:
        return descriptor(where & 0x7fff, limit, access | 0x18 | (where >> 12 & 7));
    default:
        return descriptor(where & 0x7fff, limit, access | 0x10 | (where >> 12 & 7));
    }
}

// Selectors whose RPL is mostly the same.
static void build_state(uint8_t *ram, struct bytes *bytes, uint64_t shape)
{
    for (unsigned at = 0; at < 0x68; at += 4)
        put(ram, NEW + at, bytes_take(bytes, 2), 4);
    if (shape & 1)
        put(ram, NEW + 0x24, bytes_take(bytes, 3) & FLAGS, 4);
    bool is_wide = shape & 2;
    put(ram, NEW + 0x1c, shape & 0x3c ? TASKS_DIRECTORY : bytes_take(bytes, 4), 4);
    for (unsigned i = 0; i < (is_wide ? 7 : 5); i++) {
        uint64_t selector = bytes_take(bytes, 1), rpl = selector & 0x80 ? shape >> 6 : selector;
        put(ram, NEW + (is_wide ? 0x48 + 4 * i : 0x22 + 2 * i),
            (selector >> 3) % DESCRIPTORS * 8 | (rpl & 3), is_wide ? 4 : 2);
    }
}

static void build_pages(uint8_t *ram, struct bytes *bytes, int pae)
{
    uint64_t hole = bytes_take(bytes, 8);
    for (unsigned i = 0; i < 512; i++)
        put(ram, TASKS_PAE_TABLE + 8 * i, PAGE, 8);
    for (unsigned i = 0; i < 1024; i++)
        put(ram, TASKS_DIRECTORY + 4 * i, PAGE, 4);
    for (unsigned i = 0; i < 4 && pae; i++)
        put(ram, TASKS_DIRECTORY + 8 * i, TASKS_PAE_TABLE | 1, 8);
    if (hole & 1)
        put(ram, (unsigned)(hole >> 1) % 2 ? TASKS_PAE_TABLE : TASKS_DIRECTORY, hole >> 2, 8);
}

uint64_t tasks_build(uint8_t *ram, struct bytes *bytes, int pae)
{
    uint64_t shape = bytes_take(bytes, 2), source = shape >> 8 & 3;
    uint64_t limit = shape & 0x400 ? bytes_take(bytes, 2) : 0x67;
    uint64_t index = 1 + (shape >> 12) % (DESCRIPTORS - 1);
    for (unsigned i = 1; i < DESCRIPTORS; i++) {
        put(ram, TASKS_GDT + 8 * i, any_descriptor(bytes), 8);
        put(ram, LDT + 8 * i, any_descriptor(bytes), 8);
    }
    build_state(ram, bytes, shape);
    build_pages(ram, bytes, pae);
    uint64_t type = 0x81 | (shape & 2 ? 8 : 0) | (source == 1 ? 2 : 0); // an IRET finds it busy
    put(ram, TASKS_GDT + (unsigned)index * 8, descriptor(NEW, limit, type), 8);
    return source << 30 | index * 8 | (shape & 0x800 ? bytes_take(bytes, 1) & 7 : 0);
}
