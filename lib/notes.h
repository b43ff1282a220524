// What was wrong with an input, as a list of lines for people: each is either fatal (the caller
// must not go on) or a warning (the input was mended or partly ignored, and says so). Filled by
// parsers, printed by their callers.
#pragma once

#include "lib/status.h"

#define NOTES_MAX 16

enum severity { SEVERITY_WARNING, SEVERITY_FATAL };

struct note {
    enum severity severity;
    struct explanation line;
};

struct notes {
    struct note notes[NOTES_MAX];
    uint32_t count;
    uint32_t left_out; // notes that found no room
    status_t status;   // of the first fatal note; STATUS_OK while there is none
};

void notes_init(struct notes *list);

// Adds a line that does not stop the caller.
__attribute__((format(printf, 2, 3))) void notes_warn(struct notes *list, const char *format, ...);

// Adds a line that stops the caller, and returns `status`. A fatal note always finds room: it
// replaces the last warning of a full list.
__attribute__((format(printf, 3, 4))) status_t notes_fail(struct notes *list, status_t status,
                                                          const char *format, ...);

struct printer;

// Prints each line after `prefix` ("acpi: "), and how many found no room.
void notes_print(struct printer *to, const char *prefix, const struct notes *list);
