// Guest memory: look-up of a guest-physical range in the VM's regions of RAM, and copies into and
// out of it. Called by everything that reads or writes what a guest sees as RAM: page walks, the
// instruction emulator, virtqueues, loaders. Other CPUs run the guest meanwhile, so what must be
// seen whole is moved in one access.

#include "vm/gmem.h"

#include <stdatomic.h>

#include "lib/string.h"

// The RAM at `at` and how many bytes follow it in its region, at most `*length`. NULL: no RAM
// there.
static uint8_t *piece_at(const struct gmem *memory, uint64_t at, uint64_t *length)
{
    for (unsigned i = 0; i < memory->count; i++) {
        const struct gmem_region *region = &memory->region[i];
        uint64_t offset = at - region->start.value; // huge if it lies below
        if (offset < region->size) {
            *length = MIN(*length, region->size - offset);
            return region->bytes + index_below(offset, region->size);
        }
    }
    return NULL;
}

void *gmem_at(const struct gmem *memory, gpa_t at, uint64_t length)
{
    uint64_t available = length;
    uint8_t *bytes = piece_at(memory, at.value, &available);
    return available == length ? bytes : NULL;
}

bool gmem_find(const struct gmem *memory, const void *bytes, gpa_t *at)
{
    for (unsigned i = 0; i < memory->count; i++) {
        const struct gmem_region *region = &memory->region[i];
        uint64_t offset = (uintptr_t)bytes - (uintptr_t)region->bytes; // huge if it lies below
        if (offset < region->size) {
            *at = gpa(region->start.value + offset);
            return true;
        }
    }
    return false;
}

#define LOAD(type)                                                                                 \
    do {                                                                                           \
        type value = __atomic_load_n((const type *)ram, __ATOMIC_RELAXED);                         \
        memcpy(to, &value, sizeof(value));                                                         \
        return;                                                                                    \
    } while (0)

void gmem_load(const void *ram, void *to, uint64_t length)
{
    switch (is_aligned((uintptr_t)ram, length ? length : 1) ? length : 0) {
    case 2:
        LOAD(uint16_t);
    case 4:
        LOAD(uint32_t);
    case 8:
        LOAD(uint64_t);
    default:
        memcpy(to, ram, length);
    }
}

#define STORE(type)                                                                                \
    do {                                                                                           \
        type value;                                                                                \
        memcpy(&value, from, sizeof(value));                                                       \
        __atomic_store_n((type *)ram, value, __ATOMIC_RELAXED);                                    \
        return;                                                                                    \
    } while (0)

void gmem_store(void *ram, const void *from, uint64_t length)
{
    switch (is_aligned((uintptr_t)ram, length ? length : 1) ? length : 0) {
    case 2:
        STORE(uint16_t);
    case 4:
        STORE(uint32_t);
    case 8:
        STORE(uint64_t);
    default:
        memcpy(ram, from, length);
    }
}

void gmem_publish(void *version, void *ram, const void *from, uint64_t length)
{
    uint32_t number;
    gmem_load(version, &number, sizeof(number));
    number = (number | 1) + 2;
    gmem_store(version, &number, sizeof(number));
    atomic_thread_fence(memory_order_release);
    gmem_store(ram, from, length);
    atomic_thread_fence(memory_order_release);
    number++;
    gmem_store(version, &number, sizeof(number));
}

static bool range_is_ram(const struct gmem *memory, uint64_t at, uint64_t length)
{
    if (length && at + (length - 1) < at)
        return false;
    while (length) {
        uint64_t piece = length;
        if (!piece_at(memory, at, &piece))
            return false;
        at += piece;
        length -= piece;
    }
    return true;
}

bool gmem_read(const struct gmem *memory, gpa_t from, void *to, uint64_t length)
{
    if (!range_is_ram(memory, from.value, length))
        return false;
    for (uint64_t done = 0, piece; done < length; done += piece) {
        piece = length - done;
        const uint8_t *bytes = piece_at(memory, from.value + done, &piece);
        gmem_load(bytes, (uint8_t *)to + done, piece);
    }
    return true;
}

bool gmem_write(const struct gmem *memory, gpa_t to, const void *from, uint64_t length)
{
    if (!range_is_ram(memory, to.value, length))
        return false;
    for (uint64_t done = 0, piece; done < length; done += piece) {
        piece = length - done;
        uint8_t *bytes = piece_at(memory, to.value + done, &piece);
        gmem_store(bytes, (const uint8_t *)from + done, piece);
    }
    return true;
}

#define COMPARE_EXCHANGE(type)                                                                     \
    do {                                                                                           \
        type seen = (type)*expected;                                                               \
        bool same = __atomic_compare_exchange_n((type *)ram, &seen, (type)value, false,            \
                                                __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);               \
        *expected = seen;                                                                          \
        return same;                                                                               \
    } while (0)

bool gmem_compare_exchange(const struct gmem *memory, gpa_t at, unsigned size, uint64_t *expected,
                           uint64_t value)
{
    void *ram = gmem_at(memory, at, size);
    if (!ram || !is_aligned((uintptr_t)ram, size))
        return false;
    switch (size) {
    case 1:
        COMPARE_EXCHANGE(uint8_t);
    case 2:
        COMPARE_EXCHANGE(uint16_t);
    case 4:
        COMPARE_EXCHANGE(uint32_t);
    case 8:
        COMPARE_EXCHANGE(uint64_t);
    default:
        return false;
    }
}

bool gmem_compare_exchange_16(const struct gmem *memory, gpa_t at, uint64_t expected[2],
                              const uint64_t value[2])
{
    uint64_t *ram = gmem_at(memory, at, 16);
    if (!ram || !is_aligned((uintptr_t)ram, 16))
        return false;
    // Not the compiler's builtin: it becomes a call into a library that the target does not have.
    bool same;
    __asm__ volatile("lock cmpxchg16b %1"
                     : "=@ccz"(same), "+m"(*(uint64_t(*)[2])ram), "+a"(expected[0]),
                       "+d"(expected[1])
                     : "b"(value[0]), "c"(value[1])
                     : "memory");
    return same;
}
