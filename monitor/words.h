// A command line as words and options, and the numbers in it.
#pragma once

#include "lib/bits.h"

#define WORDS_MAX   16
#define WORDS_BYTES 256

struct words {
    unsigned count;
    const char *word[WORDS_MAX]; // options apart
    uint64_t options;            // bit letter - 'a' for each -letter
    char text[WORDS_BYTES + 1];  // a command and its format have a NUL each, and no blank between
};

enum words_result {
    WORDS_OK,
    WORDS_TOO_MANY,
    WORDS_BAD_OPTION, // a '-' without letters a to z behind it
};

// Splits at blanks, and before a '/' in the first word (x/4x is x /4x). `-ab` are the options a and
// b. `line` is shorter than WORDS_BYTES.
enum words_result words_split(struct words *words, const char *line);

static inline bool words_have(const struct words *words, char option)
{
    return words->options & BIT(option - 'a');
}

// A number of C: decimal, 0x hexadecimal. Moves *text behind it. False: there is none, or it does
// not fit 64 bits.
bool words_number(const char **text, uint64_t *value);
