// Which bytes of an object its table of fields names.
#pragma once

#include "tests/unit/support.h"

#include "lib/fields.h"

// Marks what the table names, at its place in the object.
static inline void mark(const struct field *fields, uint8_t *object, size_t at)
{
    for (const struct field *field = fields; field->kind; field++) {
        if (field->is_behind)
            continue; // its pointer is wiring
        for (unsigned i = 0; i < field->count; i++) {
            size_t element = at + field->offset + (size_t)i * field->size;
            if (field->kind == FIELD_STRUCT)
                mark(field->nested, object, element);
            else
                memset(object + element, 0, field->size);
        }
    }
}

// `bytes`: zero where there is padding, and nowhere else.
static inline void assert_each_byte_named(const char *name, const struct field *fields,
                                          uint8_t *bytes, size_t size)
{
    mark(fields, bytes, 0);
    for (size_t at = 0; at < size; at++)
        if (bytes[at])
            fail_msg("%s: byte %zu of %zu is in no field", name, at, size);
}
