// Tables of fields: what a struct holds, member by member. From its table a state is saved, loaded,
// cleared and printed; a test finds a member that no table names.
//
// A saved state is a record for each field, in the table's order: a byte with the length of the
// name, the name, 32 bits with the length of the value, the value. Numbers are little-endian; the
// value of a struct is its own records, each element's behind its length in 32 bits.
#pragma once

#include "lib/print.h"
#include "lib/status.h"

enum field_kind {
    FIELD_END, // of a table
    FIELD_NUMBER,
    FIELD_STRUCT,
    FIELD_WIRING,  // what the builder connects: it is not state
    FIELD_DERIVED, // what follows from other state
    FIELD_KEPT,    // no member: what follows in the table is not cleared by INIT
};

struct field {
    const char *name;
    const struct field *nested; // of the structs' own fields
    uint64_t least;             // of numbers: others are refused
    uint64_t most;
    uint32_t offset;
    uint32_t size;  // of one element, bytes
    uint32_t count; // of elements
    // of elements, where it depends on the object
    uint32_t (*count_of)(const void *object);
    uint8_t kind;   // enum field_kind
    bool is_behind; // the member points at the elements
    uint16_t since; // the version of the table that brought it; older states leave it as it was
};

// clang-format off
#define FIELD_MEMBER(type, member) (((type *)0)->member)
#define FIELD_ROW(type, member, of_kind, ...) \
    {.name = #member, .offset = offsetof(type, member), .kind = (of_kind), __VA_ARGS__}
#define FIELD_SINGLE(value) .count = 1, .size = sizeof(value)
#define FIELD_ELEMENTS(array) .count = sizeof(array) / sizeof((array)[0]), .size = sizeof((array)[0])
#define FIELD_POINTED(pointer) .size = sizeof((pointer)[0]), .is_behind = true
// 0; a pointer or an array does not compile.
#define FIELD_ZERO(number) (0 * sizeof((number) | 0))

// A number of `least` to `most`, since a version.
#define FIELD_FULL(type, member, low, high, version) \
    FIELD_ROW(type, member, FIELD_NUMBER, \
              FIELD_SINGLE(FIELD_MEMBER(type, member)) + FIELD_ZERO(FIELD_MEMBER(type, member)), \
              .least = (low), .most = (high), .since = (version))
#define FIELD_WITHIN(type, member, low, high) FIELD_FULL(type, member, low, high, 0)
#define FIELD_SINCE(type, member, version) \
    FIELD_FULL(type, member, 0, _Generic(FIELD_MEMBER(type, member), bool: 1, default: ~0ULL), version)
#define FIELD(type, member) FIELD_SINCE(type, member, 0)

// An array of numbers.
#define FIELD_ARRAY(type, member) \
    FIELD_ROW(type, member, FIELD_NUMBER, FIELD_ELEMENTS(FIELD_MEMBER(type, member)), \
              .most = ~0ULL + FIELD_ZERO(FIELD_MEMBER(type, member)[0]))

// Numbers behind a pointer: `number` of them, or as many as a function of the object says. They are
// as good as members.
#define FIELD_BEHIND(type, member, number) \
    FIELD_ROW(type, member, FIELD_NUMBER, FIELD_POINTED(FIELD_MEMBER(type, member)), .most = ~0ULL, \
              .count = (number))
#define FIELD_BEHIND_OF(type, member, number_of) \
    FIELD_ROW(type, member, FIELD_NUMBER, FIELD_POINTED(FIELD_MEMBER(type, member)), .most = ~0ULL, \
              .count_of = (number_of))

// A struct, or an array of them, with a table of its own; one behind a pointer, likewise.
#define FIELD_ONE(type, member, fields) \
    FIELD_ROW(type, member, FIELD_STRUCT, FIELD_SINGLE(FIELD_MEMBER(type, member)), .nested = (fields))
#define FIELD_EACH(type, member, fields) \
    FIELD_ROW(type, member, FIELD_STRUCT, FIELD_ELEMENTS(FIELD_MEMBER(type, member)), .nested = (fields))
#define FIELD_ONE_BEHIND(type, member, fields) \
    FIELD_ROW(type, member, FIELD_STRUCT, FIELD_POINTED(FIELD_MEMBER(type, member)), .count = 1, \
              .nested = (fields))

// A row of a table: INIT leaves alone what stands below it.
#define INIT_KEEPS_THESE {.kind = FIELD_KEPT}

#define WIRING(type, member) FIELD_ROW(type, member, FIELD_WIRING, FIELD_SINGLE(FIELD_MEMBER(type, member)))
#define DERIVED(type, member) FIELD_ROW(type, member, FIELD_DERIVED, FIELD_SINGLE(FIELD_MEMBER(type, member)))
// clang-format on

// All bytes of an element in the object.
static inline void *field_element(const struct field *field, const void *object, unsigned index)
{
    char *at = (char *)(uintptr_t)object + field->offset;
    at = field->is_behind ? *(char **)at : at;
    return index ? at + (size_t)index * field->size : at;
}

static inline uint32_t field_count(const struct field *field, const void *object)
{
    return field->count_of ? field->count_of(object) : field->count;
}

// Makes all state and all that is derived zero; wiring stays, and at an INIT what it keeps.
void fields_clear(const struct field *fields, void *object, bool is_init);

// Writes the records to `to`, if they fit in `room` bytes. Returns their length in any case.
size_t fields_save(const struct field *fields, const void *object, uint8_t *to, size_t room);

// Reads `length` bytes of records of the table's version `version`; nothing in them is trusted.
// Only if `commit` does it change the object: the caller has the same bytes looked at before.
// Anything but the table's fields in their order and range is an error that names `owner` and
// field.
MUST_CHECK status_t fields_load(const struct field *fields, void *object, unsigned version,
                                const uint8_t *from, size_t length, bool commit, const char *owner,
                                struct explanation *why);

// A line for each field that is state.
void fields_print(const struct field *fields, const void *object, struct printer *to);

// ---- sections: whose state it is, in front of it ----
// A byte with the length of the name, the name, 16 bits with the version of the table, 32 bits with
// the length of the records, the records.

// Writes the section to `to`, if it fits in `room` bytes. Returns its length in any case.
size_t section_save(const char *name, const struct field *fields, uint16_t version,
                    const void *object, uint8_t *to, size_t room);

struct section_input {
    const uint8_t *at;
    size_t left;
};

// What fields_load() reads of a section.
struct section {
    const uint8_t *records;
    size_t length;
    unsigned version;
};

// Finds the section of this name at the input, and moves the input behind it. Versions above
// `newest` are refused.
MUST_CHECK status_t section_open(struct section_input *input, const char *name, unsigned newest,
                                 struct section *section, struct explanation *why);
