// A command line as arguments and options, and the numbers in it.
#pragma once

#include "lib/bits.h"

#define ARGS_MAX   16
#define ARGS_BYTES 256

struct args {
    unsigned count;
    const char *arg[ARGS_MAX]; // options apart
    uint64_t options;          // bit letter - 'a' for each -letter
    char text[ARGS_BYTES + 1]; // a command and its format have a NUL each, and no blank between
};

enum args_result {
    ARGS_OK,
    ARGS_TOO_MANY,
    ARGS_BAD_OPTION, // a '-' without letters a to z behind it
};

// Splits at blanks, and before a '/' in the first word (x/4x is x /4x). `-ab` are the options a and
// b. `line` is shorter than ARGS_BYTES.
enum args_result args_split(struct args *args, const char *line);

static inline bool args_have(const struct args *args, char option)
{
    return args->options & BIT(option - 'a');
}

// A number of C: decimal, 0x hexadecimal. Moves *text behind it. False: there is none, or it does
// not fit 64 bits.
bool args_number(const char **text, uint64_t *value);
