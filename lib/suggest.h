// "Did you mean ...?": the nearest of a list of words to one that is not in it.
#pragma once

#include "lib/bits.h"

// How many letters must be inserted, dropped, changed or swapped with their neighbour to turn one
// word into the other; words longer than 31 letters are far from everything (UINT_MAX).
unsigned suggest_distance(const char *a, size_t a_length, const char *b);

// The search for the word that was meant: one look at each of the list, then the answer.
struct suggestion {
    const char *word; // that is not in the list
    size_t length;
    const char *nearest;
    unsigned distance;
};

static inline struct suggestion suggest_for(const char *word, size_t length)
{
    return (struct suggestion){word, length, NULL, ~0U};
}

// A word of the list; of equally near ones the first is kept, by its pointer.
static inline void suggest_look(struct suggestion *search, const char *candidate)
{
    unsigned distance = suggest_distance(search->word, search->length, candidate);
    if (distance < search->distance) {
        search->distance = distance;
        search->nearest = candidate;
    }
}

// The nearest, or NULL if none is near enough to be a slip of the fingers: some letter is right.
static inline const char *suggest_result(const struct suggestion *search)
{
    if (search->distance > (search->length <= 4 ? 1U : 2U) || search->length <= 1)
        return NULL;
    return search->nearest[1] ? search->nearest : NULL;
}
