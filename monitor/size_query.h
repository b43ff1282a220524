// The size of the operator's terminal, by asking it: what it answers stands among what is typed,
// and is taken out. Who does not answer, a dumb terminal or a script, is not waited for. ECMA-48
// has the sequence's form, xterm's "Control Sequences" its meaning (CSI 18 t).
#pragma once

#include "lib/bits.h"

#define SIZE_QUESTION "\033[18t"
#define SIZE_MOST     9999 // columns or rows
#define SIZE_HELD     16

struct size_query {
    uint64_t deadline; // nanoseconds; 0: nothing is asked
    unsigned length;   // of what may be the beginning of the answer
    uint8_t held[SIZE_HELD];
    uint16_t columns, rows; // that were answered
};

// SIZE_QUESTION goes to the terminal now.
void size_query_begin(struct size_query *query, uint64_t now);

// A byte from the terminal. Returns how many bytes of `out` are typed ones. True in *is_answered:
// columns and rows are known now.
unsigned size_query_take(struct size_query *query, uint8_t byte, uint8_t out[SIZE_HELD],
                         bool *is_answered);

// What is held for too long is no answer. Returns how many bytes of `out` are typed ones.
unsigned size_query_attend(struct size_query *query, uint64_t now, uint8_t out[SIZE_HELD]);
