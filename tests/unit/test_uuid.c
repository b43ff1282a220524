// lib/uuid.c: texts, UUIDs of names (the expected ones are Python's), and firmware's order of
// bytes.

#include "tests/unit/support.h"

#include "lib/uuid.h"

static bool parse(const char *text, struct uuid *uuid)
{
    return uuid_parse((struct span){text, strlen(text)}, uuid);
}

static void a_text_comes_back(void **state)
{
    static const uint8_t bytes[16] = {0x12, 0x3e, 0x45, 0x67, 0xe8, 0x9b, 0x12, 0xd3,
                                      0xa4, 0x56, 0x42, 0x66, 0x14, 0x17, 0x40, 0x0f};
    struct uuid uuid;
    char text[UUID_TEXT];
    assert_true(parse("123E4567-e89b-12D3-a456-42661417400f", &uuid));
    assert_memory_equal(uuid.bytes, bytes, 16);
    uuid_format(&uuid, text);
    assert_string_equal(text, "123e4567-e89b-12d3-a456-42661417400f");
}

static void what_is_none_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "123e4567-e89b-12d3-a456-42661417400",
        "123e4567-e89b-12d3-a456-42661417400f0",
        "123e4567-e89b-12d3-a456_42661417400f",
        "123e4567e-89b-12d3-a456-42661417400f",
        "123e4567-e89b-12d3-a456-42661417400g",
        "123e4567-e89b-12d3-a456-4266141740-f",
        "{23e4567-e89b-12d3-a456-42661417400}",
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(texts); i++) {
        struct uuid uuid = {{7}};
        assert_false(parse(texts[i], &uuid));
        assert_int_equal(uuid.bytes[0], 7);
    }
}

static void a_name_has_one(void **state)
{
    static const struct {
        const char *name, *text;
    } rows[] = {
        {"", "34af0861-8bfd-54f4-b37b-f11971cb519d"},
        {"web", "f4520f7b-f53e-5445-acfc-3b74e7430043"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "e819f1ca-fe0b-5343-9640-23c014b421cc"},
        {"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "831e7428-91fd-54d3-8df7-46da47931ac9"},
    };
    assert_string_equal(UUID_NAME_SPACE, "a72b1a07-3d72-49bc-9e55-746479b4bf4f");
    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++) {
        char text[UUID_TEXT];
        struct uuid uuid = uuid_of_name(rows[i].name);
        uuid_format(&uuid, text);
        assert_string_equal(text, rows[i].text);
    }
}

static void firmware_turns_the_first_groups(void **state)
{
    static const uint8_t guid[16] = {0x67, 0x45, 0x3e, 0x12, 0x9b, 0xe8, 0xd3, 0x12,
                                     0xa4, 0x56, 0x42, 0x66, 0x14, 0x17, 0x40, 0x0f};
    struct uuid uuid;
    uint8_t turned[16];
    assert_true(parse("123e4567-e89b-12d3-a456-42661417400f", &uuid));
    uuid_to_guid(&uuid, turned);
    assert_memory_equal(turned, guid, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_comes_back),
        cmocka_unit_test(what_is_none_is_refused),
        cmocka_unit_test(a_name_has_one),
        cmocka_unit_test(firmware_turns_the_first_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
