// Guest memory: look-up of a guest-physical address in the VM's pieces of RAM, and copies into and
// out of it. Called by everything that reads or writes what a guest sees as RAM: page walks, the
// instruction emulator, virtqueues, loaders. Other CPUs run the guest meanwhile, so what must be
// seen whole is moved in one access.

#include "vm/gmem.h"

#include <stdatomic.h>

#include "lib/panic.h"
#include "lib/string.h"

void gmem_init(struct gmem *memory, struct gmem_piece *table, uint64_t pieces)
{
    *memory = (struct gmem){.piece = table, .pieces = pieces};
}

void gmem_add(struct gmem *memory, gpa_t start, uint8_t *bytes, uint64_t size)
{
    struct gmem_region *last = memory->count ? &memory->region[memory->count - 1] : NULL;
    uint64_t number = start.value / GMEM_PIECE;
    assert(is_aligned(start.value, GMEM_PIECE));
    if (!last || last->start.value + last->size != start.value) {
        assert(memory->count < GMEM_REGIONS);
        last = &memory->region[memory->count++];
        *last = (struct gmem_region){start, 0};
    }
    last->size += size;
    memory->away += bytes ? 0 : align_up(size, PAGE_SIZE) / PAGE_SIZE;
    for (uint64_t done = 0; done < size; done += GMEM_PIECE, number++) {
        assert(number < memory->pieces);
        if (bytes)
            memory->piece[number] =
                (struct gmem_piece){.bytes = bytes + done, .size = MIN(size - done, GMEM_PIECE)};
    }
    memory->changes++;
}

void gmem_beside(struct gmem *beside, const struct gmem *memory, uint64_t shift)
{
    *beside = *memory;
    beside->shift = shift;
    beside->dirty = NULL; // nobody writes there
}

// What is there of `*length` bytes. (Whether a piece has a table of its pages changes while others
// look: see gmem_split().)
static inline uint8_t *piece_at(const struct gmem *memory, uint64_t at, uint64_t *length)
{
    uint64_t number = at / GMEM_PIECE, offset = at % GMEM_PIECE;
    if (number >= memory->pieces)
        return NULL;
    const struct gmem_piece *piece = &memory->piece[index_below(number, memory->pieces)];
    uint64_t size = __atomic_load_n(&piece->size, __ATOMIC_ACQUIRE);
    if (__builtin_expect(offset < size, true)) {
        *length = MIN(*length, size - offset);
        return piece->bytes + memory->shift + index_below(offset, size);
    }
    if (size || !piece->page)
        return NULL;
    uint8_t *page = __atomic_load_n(&piece->page[offset / PAGE_SIZE], __ATOMIC_ACQUIRE);
    *length = MIN(*length, PAGE_SIZE - offset % PAGE_SIZE);
    return page ? page + memory->shift + offset % PAGE_SIZE : NULL;
}

// What a page that is away reads as; *length becomes how much of that is in the page. NULL: it is
// no RAM.
__attribute__((noinline)) static const uint8_t *away_at(const struct gmem *memory, uint64_t at,
                                                        uint64_t *length)
{
    static const uint8_t zeros[PAGE_SIZE];
    uint64_t in_page = MIN(*length, PAGE_SIZE - at % PAGE_SIZE);
    if (!memory->take || !gmem_is_ram(memory, gpa(at), in_page))
        return NULL;
    *length = in_page;
    return at < memory->image_size ? memory->image + index_below(at, memory->image_size)
                                   : zeros + at % PAGE_SIZE;
}

// RAM that may be read.
static inline const uint8_t *ram_at(const struct gmem *memory, uint64_t at, uint64_t *length)
{
    const uint8_t *ram = piece_at(memory, at, length);
    return __builtin_expect(ram != NULL, true) ? ram : away_at(memory, at, length);
}

// Where bytes of ROM are to be read; *length becomes how many of them are there.
__attribute__((noinline)) static const uint8_t *rom_at(const struct gmem *memory, uint64_t at,
                                                       uint64_t *length)
{
    const struct gmem_rom *rom = &memory->rom;
    uint64_t offset = at - rom->start.value; // huge below it
    if (offset >= rom->size)
        return NULL;
    *length = MIN(*length, rom->size - offset);
    return piece_at(rom->memory, offset, length);
}

static inline const uint8_t *readable_at(const struct gmem *memory, uint64_t at, uint64_t *length)
{
    const uint8_t *ram = ram_at(memory, at, length);
    return __builtin_expect(ram != NULL, true) ? ram : rom_at(memory, at, length);
}

__attribute__((noinline)) static const void *rom_if_shown(const struct gmem *memory, uint64_t at,
                                                          uint64_t length)
{
    uint64_t available = length;
    const uint8_t *bytes = rom_at(memory, at, &available);
    bool is_hidden = at - memory->rom.start.value < atomic_load(&memory->rom.hidden);
    return available == length && !is_hidden ? bytes : NULL;
}

const void *gmem_at_slow(const struct gmem *memory, gpa_t at, uint64_t length)
{
    uint64_t available = length;
    const void *ram = ram_at(memory, at.value, &available);
    if (__builtin_expect(!ram, false))
        return rom_if_shown(memory, at.value, length);
    return available == length ? ram : NULL;
}

void gmem_hide_rom(struct gmem *memory, uint64_t size)
{
    atomic_store(&memory->rom.hidden, size);
}

static inline bool is_range(const struct gmem *memory, uint64_t at, uint64_t length,
                            bool may_be_rom)
{
    if (length && at + (length - 1) < at)
        return false;
    while (length) {
        uint64_t piece = length;
        if (may_be_rom ? !readable_at(memory, at, &piece) : !ram_at(memory, at, &piece))
            return false;
        at += piece;
        length -= piece;
    }
    return true;
}

static bool range_is_ram(const struct gmem *memory, uint64_t at, uint64_t length)
{
    return is_range(memory, at, length, false);
}

bool gmem_read_pieces(const struct gmem *memory, gpa_t from, void *to, uint64_t length)
{
    if (!is_range(memory, from.value, length, true))
        return false;
    for (uint64_t done = 0, piece; done < length; done += piece) {
        piece = length - done;
        const uint8_t *bytes = readable_at(memory, from.value + done, &piece);
        gmem_move((uint8_t *)to + done, bytes, piece);
    }
    return true;
}

// ---- writing ----

// The same of a page that is away, which comes.
__attribute__((noinline)) static void *take(const struct gmem *memory, gpa_t at, uint64_t length)
{
    uint64_t offset = at.value % PAGE_SIZE, available = length;
    if (!away_at(memory, at.value, &available) || available != length)
        return NULL;
    uint8_t *bytes = memory->take(memory, gpa(at.value - offset));
    return bytes ? bytes + offset : NULL;
}

void *gmem_make_writable_slow(const struct gmem *memory, gpa_t at, uint64_t length)
{
    uint64_t available = length;
    uint8_t *bytes = piece_at(memory, at.value, &available);
    if (!bytes)
        return take(memory, at, length);
    return available == length ? bytes : NULL;
}

// After the bytes: whoever takes the bits and then reads the pages misses nothing.
void gmem_mark_dirty_slow(const struct gmem *memory, gpa_t at, uint64_t length)
{
    if (!length)
        return;
    for (uint64_t page = at.value / PAGE_SIZE; page <= (at.value + length - 1) / PAGE_SIZE; page++)
        atomic_fetch_or(&memory->dirty[page / 64], BIT(page % 64));
}

// The same for as much of *length as stays together, where another CPU splits pages meanwhile.
static void *writable(const struct gmem *memory, gpa_t at, uint64_t *length)
{
    void *ram = gmem_make_writable(memory, at, *length);
    uint64_t page = PAGE_SIZE - at.value % PAGE_SIZE;
    if (ram || *length <= page)
        return ram;
    *length = page;
    return gmem_make_writable(memory, at, page);
}

bool gmem_write_pieces(const struct gmem *memory, gpa_t to, const void *from, uint64_t length)
{
    if (!range_is_ram(memory, to.value, length))
        return false;
    for (uint64_t done = 0, piece; done < length; done += piece) {
        gpa_t at = gpa(to.value + done);
        piece = length - done;
        (void)ram_at(memory, at.value, &piece);
        void *ram = writable(memory, at, &piece);
        if (!ram)
            return false;
        gmem_move(ram, (const uint8_t *)from + done, piece);
        gmem_mark_dirty(memory, at, piece);
    }
    return true;
}

bool gmem_copy(const struct gmem *memory, gpa_t to, const struct gmem *source, gpa_t from,
               uint64_t length)
{
    while (length) {
        uint64_t piece = length;
        const uint8_t *bytes = ram_at(source, from.value, &piece);
        if (!bytes || !gmem_write(memory, to, bytes, piece))
            return false;
        from.value += piece;
        to.value += piece;
        length -= piece;
    }
    return true;
}

bool gmem_clear(const struct gmem *memory, gpa_t at, uint64_t length)
{
    for (uint64_t done = 0, piece; done < length; done += piece) {
        gpa_t here = gpa(at.value + done);
        piece = length - done;
        if (!ram_at(memory, here.value, &piece))
            return false;
        if (memory->drop && gmem_drop_zeros(memory, here, piece))
            continue;
        uint8_t *bytes = writable(memory, here, &piece);
        if (!bytes)
            return false;
        memset(bytes, 0, piece);
        gmem_mark_dirty(memory, here, piece);
    }
    return true;
}

bool gmem_publish(const struct gmem *memory, gpa_t version, gpa_t to, const void *from,
                  uint64_t length)
{
    uint32_t number;
    if (!range_is_ram(memory, to.value, length) ||
        !gmem_read(memory, version, &number, sizeof(number)))
        return false;
    number = (number | 1) + 2;
    bool is_written = gmem_write(memory, version, &number, sizeof(number));
    atomic_thread_fence(memory_order_release);
    is_written &= gmem_write(memory, to, from, length);
    atomic_thread_fence(memory_order_release);
    number++;
    return gmem_write(memory, version, &number, sizeof(number)) && is_written;
}

uint8_t gmem_set_bits(const struct gmem *memory, gpa_t at, uint8_t bits)
{
    uint8_t *byte = gmem_make_writable(memory, at, 1);
    if (!byte)
        return 0;
    uint8_t before = __atomic_fetch_or(byte, bits, __ATOMIC_SEQ_CST);
    gmem_mark_dirty(memory, at, 1);
    return before;
}

uint8_t gmem_clear_bits(const struct gmem *memory, gpa_t at, uint8_t bits)
{
    uint8_t *byte = gmem_make_writable(memory, at, 1);
    if (!byte)
        return 0;
    uint8_t before = __atomic_fetch_and(byte, (uint8_t)~bits, __ATOMIC_SEQ_CST);
    gmem_mark_dirty(memory, at, 1);
    return before;
}

#define COMPARE_EXCHANGE(type)                                                                     \
    do {                                                                                           \
        type seen = (type)*expected;                                                               \
        same = __atomic_compare_exchange_n((type *)ram, &seen, (type)value, false,                 \
                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                    \
        *expected = seen;                                                                          \
    } while (0)

bool gmem_compare_exchange(const struct gmem *memory, gpa_t at, unsigned size, uint64_t *expected,
                           uint64_t value)
{
    bool same = false;
    void *ram = gmem_make_writable(memory, at, size);
    if (!ram || !is_aligned((uintptr_t)ram, size))
        return false;
    switch (size) {
    case 1:
        COMPARE_EXCHANGE(uint8_t);
        break;
    case 2:
        COMPARE_EXCHANGE(uint16_t);
        break;
    case 4:
        COMPARE_EXCHANGE(uint32_t);
        break;
    case 8:
        COMPARE_EXCHANGE(uint64_t);
        break;
    }
    if (same)
        gmem_mark_dirty(memory, at, size);
    return same;
}

bool gmem_compare_exchange_16(const struct gmem *memory, gpa_t at, uint64_t expected[2],
                              const uint64_t value[2])
{
    uint64_t *ram = gmem_make_writable(memory, at, 16);
    if (!ram || !is_aligned((uintptr_t)ram, 16))
        return false;
    // Not the compiler's builtin: it becomes a call into a library that the target does not have.
    bool same;
    __asm__ volatile("lock cmpxchg16b %1"
                     : "=@ccz"(same), "+m"(*(uint64_t(*)[2])ram), "+a"(expected[0]),
                       "+d"(expected[1])
                     : "b"(value[0]), "c"(value[1])
                     : "memory");
    if (same)
        gmem_mark_dirty(memory, at, 16);
    return same;
}
