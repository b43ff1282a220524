// Universally unique identifiers. RFC 4122: "UUID Format", "Algorithm for Creating a Name-Based
// UUID".
#pragma once

#include "lib/span.h"

#define UUID_TEXT 37 // bytes of its text, with the NUL

struct uuid {
    uint8_t bytes[16]; // in the order of the text
};

// Reads 8-4-4-4-12 hexadecimal digits. False: it is none, and *uuid stays as it was.
bool uuid_parse(struct span text, struct uuid *uuid);

// Writes its text, in small letters.
void uuid_format(const struct uuid *uuid, char text[UUID_TEXT]);

// The version 5 UUID of a name of at most UUID_NAME characters, in Corbel's own name space: the
// same for the same name, always.
#define UUID_NAME       39
#define UUID_NAME_SPACE "a72b1a07-3d72-49bc-9e55-746479b4bf4f"
struct uuid uuid_of_name(const char *name);

// As tables of firmware hold it: the first three groups are little-endian numbers.
void uuid_to_guid(const struct uuid *uuid, uint8_t guid[16]);

static inline bool uuid_is(const struct uuid *uuid, uint8_t byte)
{
    bool is_other = false;
    for (unsigned i = 0; i < sizeof(uuid->bytes); i++)
        is_other |= uuid->bytes[i] != byte;
    return !is_other;
}
