// RAM by runs and pages: which of it is there, and pages that come and go while others look them
// up. Called by the machine half, under a lock of its own.

#include "vm/gmem.h"

#include "lib/panic.h"

bool gmem_is_ram_slow(const struct gmem *memory, gpa_t at, uint64_t length)
{
    for (unsigned i = 1; i < memory->count; i++)
        if (gmem_is_in_region(&memory->region[i], at, length))
            return true;
    return false;
}

static struct gmem_piece *piece_of(const struct gmem *memory, gpa_t at)
{
    uint64_t number = at.value / GMEM_PIECE;
    return number < memory->pieces ? &memory->piece[number] : NULL;
}

// The RAM at `at` that is there, as much of *size as lies together.
static uint8_t *there(const struct gmem *memory, uint64_t at, uint64_t *size)
{
    const struct gmem_piece *piece = piece_of(memory, gpa(at));
    uint64_t offset = at % GMEM_PIECE;
    if (!piece || offset >= (piece->size ? piece->size : piece->there ? GMEM_PIECE : 0))
        return NULL;
    if (piece->size) {
        *size = MIN(*size, piece->size - offset);
        return piece->bytes + offset;
    }
    uint8_t *page = piece->page[offset / PAGE_SIZE];
    *size = MIN(*size, PAGE_SIZE - offset % PAGE_SIZE);
    return page ? page + offset % PAGE_SIZE : NULL;
}

uint8_t *gmem_next(const struct gmem *memory, uint64_t *at, uint64_t most, uint64_t *size)
{
    const uint64_t end = memory->pieces * GMEM_PIECE;
    uint8_t *bytes = NULL;
    for (uint64_t step; *at < end; *at = align_down(*at, step) + step) {
        step = memory->piece[*at / GMEM_PIECE].there ? PAGE_SIZE : GMEM_PIECE;
        *size = most;
        bytes = there(memory, *at, size);
        if (bytes)
            break;
    }
    for (uint64_t more = most; bytes && *size < most; *size += more) {
        more = most - *size;
        if (there(memory, *at + *size, &more) != bytes + *size)
            break;
    }
    return bytes;
}

bool gmem_find(const struct gmem *memory, const void *bytes, gpa_t *at)
{
    uint64_t size;
    const uint8_t *run;
    for (uint64_t next = 0; (run = gmem_next(memory, &next, UINT64_MAX, &size)); next += size) {
        uint64_t offset = (uintptr_t)bytes - (uintptr_t)run; // huge if it lies below
        *at = gpa(next + offset);
        if (offset < size)
            return true;
    }
    return false;
}

uint8_t *gmem_page(const struct gmem *memory, gpa_t page)
{
    uint64_t size = PAGE_SIZE;
    uint8_t *bytes = there(memory, page.value, &size);
    return size == PAGE_SIZE ? bytes : NULL;
}

bool gmem_is_split(const struct gmem *memory, gpa_t at)
{
    const struct gmem_piece *piece = piece_of(memory, at);
    return piece && !piece->size && piece->page;
}

// After the change: whoever sees the new number looks up anew, and finds it.
static void count_change(struct gmem *memory)
{
    __atomic_store_n(&memory->changes, memory->changes + 1, __ATOMIC_RELEASE);
}

// Whoever sees the old size uses the bytes that are together still.
void gmem_split(struct gmem *memory, gpa_t at, uint8_t **table)
{
    struct gmem_piece *piece = piece_of(memory, at);
    assert(piece);
    piece->there = align_up(piece->size, PAGE_SIZE) / PAGE_SIZE;
    for (uint64_t i = 0; i < GMEM_PIECE / PAGE_SIZE; i++)
        table[i] = i * PAGE_SIZE < piece->size ? piece->bytes + i * PAGE_SIZE : NULL;
    __atomic_store_n(&piece->page, table, __ATOMIC_RELEASE);
    __atomic_store_n(&piece->size, 0, __ATOMIC_RELEASE);
    count_change(memory);
}

void gmem_set_page(struct gmem *memory, gpa_t page, uint8_t *bytes)
{
    struct gmem_piece *piece = piece_of(memory, page);
    assert(piece && !piece->size && piece->page);
    uint8_t **entry = &piece->page[page.value % GMEM_PIECE / PAGE_SIZE];
    uint64_t more = (uint64_t)(bytes != NULL) - (*entry != NULL);
    piece->there += more;
    memory->away -= more;
    __atomic_store_n(entry, bytes, __ATOMIC_RELEASE);
    count_change(memory);
}

bool gmem_drop_zeros(const struct gmem *memory, gpa_t page, uint64_t length)
{
    if (length != PAGE_SIZE)
        return false;
    for (uint64_t i = page.value; i < MIN(page.value + PAGE_SIZE, memory->image_size); i++)
        if (memory->image[i])
            return false;
    memory->drop(memory, page);
    return true;
}

void gmem_discard(const struct gmem *memory, gpa_t at, uint64_t length)
{
    uint64_t end = at.value + length;
    for (uint64_t page = align_up(at.value, PAGE_SIZE); page + PAGE_SIZE <= end; page += PAGE_SIZE)
        if (memory->drop && gmem_is_ram(memory, gpa(page), PAGE_SIZE))
            memory->drop(memory, gpa(page));
}
