// A guest's bytes for the operator's terminal where they must not be taken as they are: beside
// other VMs' lines, which they could paint over, and in what is shown a second time.
#pragma once

#include "lib/bits.h"

#define GUEST_TEXT_HELD 32
#define GUEST_TEXT_MOST (GUEST_TEXT_HELD + 4) // bytes that one more byte can bring out

enum guest_text_state {
    TEXT_GROUND,
    TEXT_LEAD, // C2 is held: a control of 8 bits may follow
    TEXT_BODY, // in a character of UTF-8
    TEXT_ESCAPE,
    TEXT_CSI,
    TEXT_STRING, // OSC, DCS and their kin
};

// What is known of the bytes so far. All zero at first.
struct guest_text {
    enum guest_text_state state;
    unsigned length;     // of `held`
    unsigned parameters; // where they begin in `held`
    unsigned missing;    // bytes of a character
    bool has_cr;         // a CR that may belong to a LF
    bool in_line;
    uint8_t held[GUEST_TEXT_HELD]; // a character or a sequence that has no end yet
};

// As text alone: what moves the cursor or speaks to the terminal becomes ^X or \xNN; what is left
// are characters of UTF-8, tabs, and LF for the end of a line. Returns how many bytes are in `out`.
size_t guest_text_plain(struct guest_text *text, uint8_t byte, char out[GUEST_TEXT_MOST]);

// For a terminal, without what it would answer: the answer would be typed at a guest that waits for
// it no longer. Sequences pass that are known to have none.
size_t guest_text_replay(struct guest_text *text, uint8_t byte, char out[GUEST_TEXT_MOST]);

// What is held, as it came.
size_t guest_text_flush(struct guest_text *text, char out[GUEST_TEXT_MOST]);
