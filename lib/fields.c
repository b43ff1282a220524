// States by their tables: see lib/fields.h. Called for devices, local APICs and vCPUs.
#include "lib/fields.h"

#include "lib/bytes.h"

#define LENGTH_BYTES 4
#define SHOWN        16 // elements of an array in print

static bool is_state(const struct field *field)
{
    return field->kind == FIELD_NUMBER || field->kind == FIELD_STRUCT;
}

static size_t size_of(const struct field *field, const void *object)
{
    return (size_t)field->size * field_count(field, object);
}

void fields_clear(const struct field *fields, void *object, bool is_init)
{
    for (const struct field *field = fields; field->kind; field++) {
        bool is_there = !field->is_behind || field_element(field, object, 0);
        if (field->kind == FIELD_KEPT && is_init)
            return;
        if (field->kind == FIELD_STRUCT)
            for (unsigned i = 0; i < field->count; i++)
                fields_clear(field->nested, field_element(field, object, i), false);
        else if (field->kind != FIELD_WIRING && is_there) // wired already
            memset(field_element(field, object, 0), 0, size_of(field, object));
    }
}

// ---- saving ----

struct pen {
    uint8_t *to;
    size_t room;
    size_t used; // more than `room`: it did not fit
};

static void put(struct pen *pen, const void *bytes, size_t length)
{
    if (pen->used + length <= pen->room)
        memcpy(pen->to + pen->used, bytes, length);
    pen->used += length;
}

static void put_length(struct pen *pen, size_t length)
{
    put(pen, &(uint32_t){(uint32_t)length}, LENGTH_BYTES);
}

static void save(const struct field *fields, const void *object, struct pen *pen)
{
    for (const struct field *field = fields; field->kind; field++) {
        if (!is_state(field))
            continue;
        uint8_t name_length = (uint8_t)strlen(field->name);
        put(pen, &name_length, 1);
        put(pen, field->name, name_length);
        size_t length = size_of(field, object);
        if (field->kind == FIELD_NUMBER) {
            put_length(pen, length);
            put(pen, field_element(field, object, 0), length);
            continue;
        }
        length = 0;
        for (unsigned i = 0; i < field->count; i++)
            length +=
                LENGTH_BYTES + fields_save(field->nested, field_element(field, object, i), NULL, 0);
        put_length(pen, length);
        for (unsigned i = 0; i < field->count; i++) {
            const void *element = field_element(field, object, i);
            put_length(pen, fields_save(field->nested, element, NULL, 0));
            save(field->nested, element, pen);
        }
    }
}

size_t fields_save(const struct field *fields, const void *object, uint8_t *to, size_t room)
{
    struct pen pen = {to, room, 0};
    save(fields, object, &pen);
    return pen.used;
}

// ---- loading ----

static uint64_t number_at(const uint8_t *at, unsigned size)
{
    uint64_t value = 0;
    memcpy(&value, at, size);
    return value;
}

static status_t load_numbers(const struct field *field, void *object, const uint8_t *from,
                             size_t length, bool commit, const char *owner, struct explanation *why)
{
    unsigned count = field_count(field, object);
    if (length != size_of(field, object))
        return explain(why, STATUS_INVALID, "%s: %s has %zu bytes: not %zu", owner, field->name,
                       length, size_of(field, object));
    uint64_t most = field->most & size_mask(field->size);
    for (unsigned i = 0; i < count; i++) {
        uint64_t value = number_at(from + (size_t)i * field->size, field->size);
        if (value < field->least || value > most)
            return explain(why, STATUS_RANGE, "%s: %s is %#lx: not %#lx to %#lx", owner,
                           field->name, value, field->least, most);
    }
    if (commit)
        memcpy(field_element(field, object, 0), from, length);
    return STATUS_OK;
}

static status_t load_structs(const struct field *field, void *object, unsigned version,
                             const uint8_t *from, size_t left, bool commit, const char *owner,
                             struct explanation *why)
{
    for (unsigned i = 0; i < field->count; i++) {
        size_t length = left < LENGTH_BYTES ? SIZE_MAX : get32(from);
        if (left < LENGTH_BYTES || length > left - LENGTH_BYTES)
            return explain(why, STATUS_TRUNCATED, "%s: %s ends within element %u of %u", owner,
                           field->name, i, field->count);
        status_t status = fields_load(field->nested, field_element(field, object, i), version,
                                      from + LENGTH_BYTES, length, commit, owner, why);
        if (status != STATUS_OK)
            return status;
        from += LENGTH_BYTES + length;
        left -= LENGTH_BYTES + length;
    }
    return left == 0 ? STATUS_OK
                     : explain(why, STATUS_INVALID, "%s: %s has %zu bytes behind its last element",
                               owner, field->name, left);
}

status_t fields_load(const struct field *fields, void *object, unsigned version,
                     const uint8_t *from, size_t left, bool commit, const char *owner,
                     struct explanation *why)
{
    for (const struct field *field = fields; field->kind; field++) {
        if (!is_state(field) || field->since > version)
            continue;
        size_t name = strlen(field->name), head = 1 + name + LENGTH_BYTES;
        if (left < head)
            return explain(why, STATUS_TRUNCATED, "%s: ends where %s is expected", owner,
                           field->name);
        if (from[0] != name || memcmp(from + 1, field->name, name) != 0)
            return explain(why, STATUS_INVALID, "%s: another name stands where %s is expected",
                           owner, field->name);
        size_t length = get32(from + 1 + name);
        if (length > left - head)
            return explain(why, STATUS_TRUNCATED, "%s: %s claims %zu bytes of %zu", owner,
                           field->name, length, left - head);
        from += head;
        left -= head;
        status_t status =
            field->kind == FIELD_NUMBER
                ? load_numbers(field, object, from, length, commit, owner, why)
                : load_structs(field, object, version, from, length, commit, owner, why);
        if (status != STATUS_OK)
            return status;
        from += length;
        left -= length;
    }
    return left == 0
               ? STATUS_OK
               : explain(why, STATUS_INVALID, "%s: %zu bytes behind the last field", owner, left);
}

// ---- printing ----

static void print_numbers(const struct field *field, const void *object, struct printer *to)
{
    unsigned count = field_count(field, object);
    for (unsigned i = 0; i < MIN(count, SHOWN); i++) {
        uint64_t value = number_at(field_element(field, object, i), field->size);
        if (count > 1)
            print_to(to, " %0*lx", (int)(2 * field->size), value);
        else if (field->size == 1 && field->most == 1)
            print_to(to, " %s", value ? "true" : "false");
        else
            print_to(to, " %#lx", value);
    }
    print_to(to, count > SHOWN ? " ... (%u)\n" : "\n", count);
}

static void print_under(const struct field *fields, const void *object, const char *prefix,
                        struct printer *to)
{
    for (const struct field *field = fields; field->kind; field++) {
        if (field->kind == FIELD_NUMBER) {
            print_to(to, "  %s%s =", prefix, field->name);
            print_numbers(field, object, to);
        }
        for (unsigned i = 0; field->kind == FIELD_STRUCT && i < field->count; i++) {
            char longer[64], index[16] = "";
            if (field->count > 1)
                format_text(index, sizeof(index), "[%u]", i);
            format_text(longer, sizeof(longer), "%s%s%s.", prefix, field->name, index);
            print_under(field->nested, field_element(field, object, i), longer, to);
        }
    }
}

void fields_print(const struct field *fields, const void *object, struct printer *to)
{
    print_under(fields, object, "", to);
}

// ---- sections ----

#define VERSION_BYTES 2

size_t section_save(const char *name, const struct field *fields, uint16_t version,
                    const void *object, uint8_t *to, size_t room)
{
    size_t size = strlen(name), head = 1 + size + VERSION_BYTES + LENGTH_BYTES;
    size_t length = fields_save(fields, object, NULL, 0);
    if (head + length <= room) {
        to[0] = (uint8_t)size;
        memcpy(to + 1, name, size);
        put16(to + 1 + size, version);
        put32(to + 1 + size + VERSION_BYTES, (uint32_t)length);
        fields_save(fields, object, to + head, length);
    }
    return head + length;
}

status_t section_open(struct section_input *input, const char *name, unsigned newest,
                      struct section *section, struct explanation *why)
{
    size_t size = strlen(name), head = 1 + size + VERSION_BYTES + LENGTH_BYTES;
    if (input->left < head)
        return explain(why, STATUS_TRUNCATED, "the state ends where %s is expected", name);
    if (input->at[0] != size || memcmp(input->at + 1, name, size) != 0)
        return explain(why, STATUS_INVALID, "another name stands where %s is expected", name);
    unsigned version = get16(input->at + 1 + size);
    size_t length = get32(input->at + 1 + size + VERSION_BYTES);
    if (version > newest)
        return explain(why, STATUS_UNSUPPORTED, "%s: its state has version %u, we know %u: update",
                       name, version, newest);
    if (length > input->left - head)
        return explain(why, STATUS_TRUNCATED, "%s: claims %zu bytes of %zu", name, length,
                       input->left - head);
    *section = (struct section){input->at + head, length, version};
    input->at += head + length;
    input->left -= head + length;
    return STATUS_OK;
}
