// JSON, read in place: a text is checked once, as a whole; from then on each value in it is a span,
// and what is in it is found by walking. Nothing is built, and nothing is asked to be of any size.
// RFC 8259.
#pragma once

#include "lib/print.h"
#include "lib/span.h"

#define JSON_DEPTH 32 // arrays and objects inside of each other, at most

// ---- the end of a message in a stream ----

struct json_scan {
    unsigned depth;
    bool in_string, is_escaped;
};

// Takes the next byte. True: a message ends with it, which may be no good JSON; the scan begins
// anew. An object or an array ends with its bracket; what is neither, and a string that has none,
// with its line.
bool json_scan(struct json_scan *scan, char byte);

// ---- checking ----

// One value, with blanks around it or not: in good UTF-8, and its strings without NUL.
bool json_is_good(struct span text);

// ---- walking, in what is good ----

static inline bool json_is(struct span value, char first) // '{', '[', '"', 't', 'f', 'n'
{
    return value.length && *value.at == first;
}

// The next value of an array or of an object, with its member's name, quotes and all (`name` may be
// NULL). `rest` is the array or the object at first. False: there is none, or it is neither.
bool json_next(struct span *rest, struct span *name, struct span *value);

// The value of an object's member. False: it has none of this name, or is no object; *value stays
// as it was.
bool json_member(struct span object, const char *name, struct span *value);

// A string's text, with its NUL. False: it is no string, or has no room: the text is empty.
bool json_string(struct span value, char *text, size_t size);

// Whether it is a string with this text.
bool json_is_string(struct span value, const char *text);

// False: it is not a whole number from 0 on that fits 64 bits.
bool json_number(struct span value, uint64_t *number);

// ---- writing ----

// A string's characters, without its quotes, in ASCII: bytes from 80h on as \u00XX.
void json_print_text(struct printer *to, const char *text, size_t length);

// The whole string.
void json_print(struct printer *to, const char *text);

// A value that was read, without the blanks between its parts: it stays on one line.
void json_print_value(struct printer *to, struct span value);
