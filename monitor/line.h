// A line editor for a terminal without a driver: typed bytes in, a line out. Arrows, Home and End,
// Backspace, Delete, Ctrl-A and the other keys of Emacs, a history, and completion by Tab.
#pragma once

#include "lib/print.h"

#define LINE_BYTES   256 // with the NUL
#define LINE_HISTORY 32
#define LINE_ESCAPE  8 // of an escape sequence, kept

enum line_event {
    LINE_EDITING,
    LINE_READY, // line->text is what was entered; line_begin() starts the next
};

// The words that could stand where the last word of before[0 .. length) is being typed: the
// index-th, or NULL after the last. They need not begin as the typed part does.
typedef const char *line_candidate(void *context, const char *before, size_t length,
                                   unsigned index);

struct line {
    struct printer *to;
    const char *prompt;
    line_candidate *candidate; // or NULL
    void *context;
    char text[LINE_BYTES];
    size_t length, cursor;
    bool has_refused; // characters that found no room, since the last edit that made some
    char escape[LINE_ESCAPE];
    size_t escape_length; // 0: none has begun
    bool is_ended_by_cr;  // a LF that follows is the same key

    char history[LINE_HISTORY][LINE_BYTES];
    unsigned entered;       // lines in the history, ever
    unsigned back;          // how many lines back the text comes from; 0: it is new
    char draft[LINE_BYTES]; // what was being typed when the history was entered
};

void line_init(struct line *line, struct printer *to, const char *prompt, line_candidate *candidate,
               void *context);

// An empty line with its prompt.
void line_begin(struct line *line);

// Draws prompt and text anew, after something else was printed.
void line_redraw(struct line *line);

// One byte from the keyboard. A line longer than LINE_BYTES - 1 is not entered: the bell rings, and
// its end has to be mended first.
enum line_event line_type(struct line *line, uint8_t byte);
