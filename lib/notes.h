// What was wrong with an input, as a list of lines for people: warnings (the input was mended or
// partly ignored, and says so) and perhaps what is fatal (the caller must not go on). Filled by
// parsers, printed by their callers.
#pragma once

#include "lib/status.h"

#define NOTES_MAX 32

struct notes {
    struct explanation line[NOTES_MAX];
    uint32_t count;
    uint32_t left_out; // notes that found no room
    status_t status;   // of the first fatal note; STATUS_OK while there is none
};

void notes_init(struct notes *list);

// The place for the next line, or NULL if there is none: that is counted. What is fatal always
// finds room: it replaces the last warning of a full list.
struct explanation *notes_take(struct notes *list, bool is_fatal);

// Adds a line that does not stop the caller.
__attribute__((format(printf, 2, 3))) void notes_warn(struct notes *list, const char *format, ...);

// Adds a line that stops the caller, and returns `status`.
__attribute__((format(printf, 3, 4))) status_t notes_fail(struct notes *list, status_t status,
                                                          const char *format, ...);

struct printer;

// Prints each line after `prefix` ("acpi: "), and how many found no room.
void notes_print(struct printer *to, const char *prefix, const struct notes *list);
