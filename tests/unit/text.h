// What a printer has said, kept for the tests that read it.
#pragma once

#include "tests/unit/support.h"

#include "lib/print.h"

struct text {
    struct printer printer; // write = collect
    char buffer[65536];
    size_t length;
};

static inline void collect(struct printer *to, const char *piece, size_t length)
{
    struct text *all = (struct text *)to;
    assert_true(all->length + length < sizeof(all->buffer));
    memcpy(all->buffer + all->length, piece, length);
    all->length += length;
    all->buffer[all->length] = '\0';
}
