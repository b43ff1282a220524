// The last of what Corbel itself has printed, in memory: a screen that is found late shows it from
// the beginning, and after a panic the next boot finds it where a reset left it. Pure. Used by
// console.c.
#pragma once

#include "lib/bits.h"

#define LOG_TEXT_BYTES 8176U

struct log {
    uint64_t magic; // LOG_MAGIC once sealed
    uint32_t checksum;
    uint32_t written; // bytes ever; the text is a ring that holds the last of them
    char text[LOG_TEXT_BYTES];
};

_Static_assert(sizeof(struct log) == 8192, "two pages");

void log_init(struct log *log);
void log_write(struct log *log, const char *text, size_t length);

// The text in two pieces, 0 the older and 1 the newer; a piece may be empty. `log` must have been
// written by us or be sealed.
const char *log_piece(const struct log *log, unsigned piece, size_t *length);

// Marks it as complete, so that it can be told from other bytes.
void log_seal(struct log *log);

// Whether the memory at `log`, of which nothing is known, holds a sealed one.
bool log_is_sealed(const struct log *log);
