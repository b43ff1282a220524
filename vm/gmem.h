// Guest memory: the one way to a guest's RAM. It stands anywhere in the machine, in pieces; its
// bounds, and which pages of it were written, are known here.
#pragma once

#include "lib/string.h"
#include "vm/address.h"

#define GMEM_REGIONS 16
#define GMEM_PIECE   PAGE_2M

struct gmem_region {
    gpa_t start;
    uint64_t size; // bytes, whole pages
};

// Where we see an aligned 2 MiB of guest-physical addresses.
struct gmem_piece {
    uint8_t *bytes; // `size` bytes of RAM, from the beginning on
    uint64_t size;
    uint8_t **page; // if `size` is 0: of each 4 KiB, or NULL; NULL: none of them is there
    uint64_t there; // how many of these are
};

// What the guest reads and executes as memory, and does not write: a device takes its writes, and
// where it hides the bytes the guest's reads.
struct gmem_rom {
    const struct gmem *memory; // the bytes, from address 0 of it on; NULL: there is none
    gpa_t start;               // whole pages of 4 KiB, where no RAM is
    uint64_t size;
    _Atomic uint64_t hidden; // bytes from its start on, whole pages
};

struct gmem {
    unsigned count;
    struct gmem_region region[GMEM_REGIONS]; // sorted, not overlapping, not adjacent
    uint64_t pieces;                         // from address 0 on
    struct gmem_piece *piece;
    uint64_t shift; // added to where the pieces say that we see it
    // How often RAM has come or gone: while this stays, it is seen where it was; who finds so may
    // use that until the exit ends.
    uint64_t changes;
    // Pages of the regions may be away: they read as the bytes of `image`, where that has some, or
    // as zeros, until they are written: then `take` has one there, and returns where (NULL: it has
    // no memory for it). A NULL here: all are there for good.
    uint8_t *(*take)(const struct gmem *memory, gpa_t page);
    // Has one be away (again) that need not be there. NULL: they stay.
    void (*drop)(const struct gmem *memory, gpa_t page);
    const uint8_t *image;
    uint64_t image_size;
    uint64_t away; // how many are
    // A bit for each page from address 0 on, set when it was written by us or was made writable for
    // the guest; NULL: nobody asks.
    _Atomic uint64_t *dirty;
    struct gmem_rom rom;
};

// Empty memory with a table of so many pieces, which must be zeroed.
void gmem_init(struct gmem *memory, struct gmem_piece *table, uint64_t pieces);

// Adds RAM behind all that it has: `start` a multiple of 2 MiB, `size` of 4 KiB. `bytes` NULL: all
// of it is away.
void gmem_add(struct gmem *memory, gpa_t start, uint8_t *bytes, uint64_t size);

// The same RAM, to be read where it is seen `shift` bytes behind its usual place: beside another
// VM's. What changes in its table changes there, too; RAM that is added later is not in it.
void gmem_beside(struct gmem *beside, const struct gmem *memory, uint64_t shift);

// The next RAM at or behind *at that is there and lies together for the guest and for us, at most
// `most` (not 0) bytes of it; *at becomes where it begins. NULL: that was all.
uint8_t *gmem_next(const struct gmem *memory, uint64_t *at, uint64_t most, uint64_t *size);

// The usual case of what follows, without a call: in a piece that is whole. NULL: look closer.
static inline uint8_t *gmem_in_piece(const struct gmem *memory, gpa_t at, uint64_t length)
{
    uint64_t number = at.value / GMEM_PIECE, offset = at.value % GMEM_PIECE;
    if (number >= memory->pieces || length > GMEM_PIECE)
        return NULL;
    const struct gmem_piece *piece = &memory->piece[index_below(number, memory->pieces)];
    uint64_t size = __atomic_load_n(&piece->size, __ATOMIC_ACQUIRE);
    return offset + length <= size ? piece->bytes + memory->shift + index_below(offset, size)
                                   : NULL;
}

const void *gmem_at_slow(const struct gmem *memory, gpa_t at, uint64_t length);
void *gmem_make_writable_slow(const struct gmem *memory, gpa_t at, uint64_t length);
void gmem_mark_dirty_slow(const struct gmem *memory, gpa_t at, uint64_t length);

static inline uint64_t gmem_changes(const struct gmem *memory)
{
    return __atomic_load_n(&memory->changes, __ATOMIC_ACQUIRE);
}

bool gmem_read_pieces(const struct gmem *memory, gpa_t from, void *to, uint64_t length);
bool gmem_write_pieces(const struct gmem *memory, gpa_t to, const void *from, uint64_t length);

// What one access of the CPU moves, aligned or not.
#define GMEM_UNIT(bits)                                                                            \
    struct __attribute__((packed, may_alias)) gmem_##bits {                                        \
        volatile uint##bits##_t value;                                                             \
    }
GMEM_UNIT(8);
GMEM_UNIT(16);
GMEM_UNIT(32);
GMEM_UNIT(64);
#define GMEM_MOVE(bits, at)                                                                        \
    ((struct gmem_##bits *)to)[at].value = ((const struct gmem_##bits *)from)[at].value

// Where `length` bytes of RAM, or of ROM that is not hidden, at `at`, which lie in one aligned 2
// MiB, can be read, or NULL. The guest can change them at any time: copy what you check.
static inline const void *gmem_at(const struct gmem *memory, gpa_t at, uint64_t length)
{
    const void *bytes = gmem_in_piece(memory, at, length);
    return bytes ? bytes : gmem_at_slow(memory, at, length);
}

// The first `size` bytes of ROM, whole pages, are hidden, and no others: gmem_at() does not find
// them. Whoever calls has the CPUs look again, too (vm_host.memory_hide).
void gmem_hide_rom(struct gmem *memory, uint64_t size);

static inline bool gmem_is_rom(const struct gmem *memory, gpa_t at)
{
    return at.value - memory->rom.start.value < memory->rom.size;
}

static inline bool gmem_is_in_region(const struct gmem_region *region, gpa_t at, uint64_t length)
{
    uint64_t offset = at.value - region->start.value; // huge below it
    return offset < region->size && length <= region->size - offset;
}

bool gmem_is_ram_slow(const struct gmem *memory, gpa_t at, uint64_t length);

// Whether all of these bytes lie in one of its regions.
static inline bool gmem_is_ram(const struct gmem *memory, gpa_t at, uint64_t length)
{
    return gmem_is_in_region(&memory->region[0], at, length) ||
           gmem_is_ram_slow(memory, at, length);
}

// Where the guest has what we see at `bytes`. False: nowhere.
MUST_CHECK bool gmem_find(const struct gmem *memory, const void *bytes, gpa_t *at);

// Copies out of RAM that gmem_at() gave, and into what gmem_make_writable() did. 1, 2, 4 or 8 bytes
// move in one access, as other CPUs expect of a device's or an instruction's single one, 16 in two.
static inline void gmem_move(void *to, const void *from, uint64_t length)
{
    switch (length) {
    case 1:
        GMEM_MOVE(8, 0);
        break;
    case 2:
        GMEM_MOVE(16, 0);
        break;
    case 4:
        GMEM_MOVE(32, 0);
        break;
    case 16:
        GMEM_MOVE(64, 1);
        __attribute__((fallthrough));
    case 8:
        GMEM_MOVE(64, 0);
        break;
    default:
        memcpy(to, from, length);
    }
}

// Eight bytes that gmem_at() gave, in one access.
static inline uint64_t gmem_load64(const void *ram)
{
    return ((const struct gmem_64 *)ram)->value;
}

// The same for any range of RAM; it may run across pieces. False (and nothing copied) if any byte
// is not RAM.
MUST_CHECK static inline bool gmem_read(const struct gmem *memory, gpa_t from, void *to,
                                        uint64_t length)
{
    const void *ram = gmem_in_piece(memory, from, length);
    if (!ram)
        return gmem_read_pieces(memory, from, to, length);
    gmem_move(to, ram, length);
    return true;
}

// ---- pages that come and go ----
// By one CPU at a time; others may look meanwhile, and use what they saw until their exit ends.

// Where this page is, or NULL: it is away, or no RAM.
uint8_t *gmem_page(const struct gmem *memory, gpa_t page);

// The 2 MiB at `at` that has no table of its pages has one from now on: `table`, for 512 of them.
void gmem_split(struct gmem *memory, gpa_t at, uint8_t **table);
bool gmem_is_split(const struct gmem *memory, gpa_t at);

// A page of a piece with such a table is away from now on (NULL), or is at `bytes`.
void gmem_set_page(struct gmem *memory, gpa_t page, uint8_t *bytes);

// What these bytes hold is of no use any more: pages that can go do, and then read as `image` or as
// zeros. And the same of one page (`length` of 4 KiB) if it then reads as zeros. False: it does
// not.
void gmem_discard(const struct gmem *memory, gpa_t at, uint64_t length);
bool gmem_drop_zeros(const struct gmem *memory, gpa_t page, uint64_t length);

// ---- writing ----
// Whoever writes into a guest does so by one of these.

// All of them, and the handler of EPT violations, come here: before RAM in one piece is written,
// which may be done at the place that it returns (NULL: no RAM, or no memory for a page that was
// away); and after that, when it is to be seen in a log.
static inline void *gmem_make_writable(const struct gmem *memory, gpa_t at, uint64_t length)
{
    void *bytes = gmem_in_piece(memory, at, length);
    return bytes ? bytes : gmem_make_writable_slow(memory, at, length);
}

static inline void gmem_mark_dirty(const struct gmem *memory, gpa_t at, uint64_t length)
{
    if (memory->dirty)
        gmem_mark_dirty_slow(memory, at, length);
}

MUST_CHECK static inline bool gmem_write(const struct gmem *memory, gpa_t to, const void *from,
                                         uint64_t length)
{
    void *ram = gmem_make_writable(memory, to, length);
    if (!ram)
        return gmem_write_pieces(memory, to, from, length);
    gmem_move(ram, from, length);
    gmem_mark_dirty(memory, to, length);
    return true;
}

// Copies from one memory to another, each byte read once; or writes zeros. False: there is a byte
// that is not RAM; those before it may be written.
MUST_CHECK bool gmem_copy(const struct gmem *memory, gpa_t to, const struct gmem *source,
                          gpa_t from, uint64_t length);
MUST_CHECK bool gmem_clear(const struct gmem *memory, gpa_t at, uint64_t length);

// Atomically replaces `size` (1, 2, 4, 8) aligned bytes if they still hold `expected`. False: not
// RAM, or changed; *expected then holds the present value (unchanged if not RAM).
MUST_CHECK bool gmem_compare_exchange(const struct gmem *memory, gpa_t at, unsigned size,
                                      uint64_t *expected, uint64_t value);

// The same for 16 aligned bytes, low half first (CMPXCHG16B's shape).
MUST_CHECK bool gmem_compare_exchange_16(const struct gmem *memory, gpa_t at, uint64_t expected[2],
                                         const uint64_t value[2]);

// Atomically sets or clears these bits of a byte; returns what it was. 0: not RAM.
uint8_t gmem_set_bits(const struct gmem *memory, gpa_t at, uint8_t bits);
uint8_t gmem_clear_bits(const struct gmem *memory, gpa_t at, uint8_t bits);

// Writes what a guest reads between two looks at the 4 bytes at `version`: odd while it changes,
// then the next even number. False (and nothing written): not RAM.
MUST_CHECK bool gmem_publish(const struct gmem *memory, gpa_t version, gpa_t to, const void *from,
                             uint64_t length);
