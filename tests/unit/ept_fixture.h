// What the tests of mm/tables/page_table.c share: EPT over a recording memory.
#pragma once

#include "tests/unit/ept_memory.h"
#include "tests/unit/support.h"

#define AD (EPT_ACCESSED | EPT_DIRTY)

struct fixture {
    struct ept_memory *memory;
    struct page_table ept;
};

static inline struct fixture begin(unsigned largest)
{
    struct fixture f = {.memory = memory_new()};
    assert_true(page_table_init(&f.ept, EPT_FORMAT, largest, &f.memory->source));
    return f;
}

static inline void destroy_some(struct fixture *f)
{
    unsigned before = f->memory->out;
    page_table_destroy(&f->ept, 3);
    assert_true(f->memory->out < before && f->memory->out + 3 >= before);
}

static inline void end(struct fixture *f)
{
    page_table_reclaim(&f->ept);
    while (f->ept.root)
        destroy_some(f);
    assert_int_equal(f->memory->out, 0);
    memory_delete(f->memory);
}

static inline struct translation at(struct fixture *f, uint64_t guest)
{
    return memory_walk(f->memory, ept_pointer(&f->ept, true), guest);
}

static inline void is_mapped(struct fixture *f, uint64_t guest, uint64_t host, uint64_t flags,
                             unsigned level)
{
    struct translation found = at(f, guest);
    assert_int_equal(found.host, host);
    assert_int_equal(found.flags & ~AD, flags);
    assert_int_equal(found.level, level);
}

static inline void is_hole(struct fixture *f, uint64_t guest)
{
    assert_int_equal(at(f, guest).flags, 0);
}

#define MAP(f, guest, host, size, flags) page_table_map(&(f)->ept, guest, host, size, flags)
#define UNMAP(f, guest, size)            page_table_change(&(f)->ept, guest, size, 0, 0)
#define PROTECT(f, guest, size, rights)                                                            \
    page_table_change(&(f)->ept, guest, size, ~EPT_RIGHTS, rights)
#define MERGE(f, guest, level) page_table_merge(&(f)->ept, guest, level)
#define OK(call)               assert_true(call)
