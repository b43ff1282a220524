// Pieces of a text, not terminated: what parsers of files and command lines take apart.
#pragma once

#include <stddef.h>

#include "lib/bits.h"

struct span {
    const char *at;
    size_t length;
};

bool span_is(struct span span, const char *word);

// A word of a list and what it means; the list ends with an empty row.
struct span_word {
    const char *text;
    int value;
};

// False: the span is none of the words.
bool span_means(struct span span, const struct span_word *words, int *value);

static inline bool span_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// Without the blanks at both ends.
struct span span_trim(struct span span);

// Cuts the piece before `separator` off the front of `span` (all of it if there is none) and trims
// it. False: nothing is left.
bool span_split(struct span *span, char separator, struct span *piece);

// Cuts the word before a blank off the front. False: nothing is left.
bool span_cut_word(struct span *span, struct span *word);

// What a decimal or hexadecimal digit counts; no digit: more than 15.
unsigned span_digit(char c);

// Takes a number of C off the front: decimal, 0x hexadecimal. False: there is none, or it does not
// fit 64 bits.
bool span_number(struct span *span, uint64_t *value);

// The same for a span that is a number and nothing else.
static inline bool span_is_number(struct span span, uint64_t *value)
{
    return span_number(&span, value) && !span.length;
}
