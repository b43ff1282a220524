// The last of what Corbel itself has said, in memory: a screen that is found late shows it from the
// beginning, the monitor shows it again, and after a panic the next boot finds it where a reset
// left it. Pure. Used by console.c.
#pragma once

#include "lib/bits.h"

#define LOG_TEXT_BYTES 16360U

struct log {
    uint64_t magic;   // LOG_MAGIC once sealed
    uint64_t written; // bytes ever; the text is a ring that holds the last of them
    uint64_t checksum;
    char text[LOG_TEXT_BYTES];
};

_Static_assert(sizeof(struct log) == 16384, "four pages");

void log_init(struct log *log);
void log_write(struct log *log, const char *text, size_t length);

// Reads on from *position (0 at first), which moves. Returns how many bytes were copied; 0 at the
// end. What is no longer held is left out, up to the beginning of a line. `log` must have been
// written by us or be sealed.
size_t log_read(const struct log *log, uint64_t *position, char *text, size_t size);

// Marks it as complete, so that it can be told from other bytes.
void log_seal(struct log *log);

// Whether the memory at `log`, of which nothing is known, holds a sealed one.
bool log_is_sealed(const struct log *log);
