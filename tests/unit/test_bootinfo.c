// boot/info/bootinfo.c against hand-made Multiboot2 boot information.

#include "tests/unit/boot_loader.h"

static void a_plain_machine(void **state)
{
    begin();
    put_text(1, "report console=com2");
    put_text(2, "GRUB 2.06");
    put_small_machine();
    put_module(0x200000, 0x200123, "vms.conf");
    put_module(0x201000, 0x300000, "vmlinuz");
    put_framebuffer(0xe0000000, 4096, 1024, 768, 32, 1);
    size_t tag = tag_begin(14);
    put("RSD PTR .BOCHS ....", 20);
    tag_end(tag);
    put_text(9999, "a tag from the future");
    finish();
    assert_int_equal(parse(), STATUS_OK);
    assert_int_equal(info.notes.count, 0);
    assert_string_equal(info.cmdline, "report console=com2");
    assert_int_equal(info.memory_count, 4);
    assert_int_equal(usable_bytes(), 0x9f000 + 0x7ef0000);
    assert_int_equal(info.module_count, 2);
    assert_string_equal(info.modules[0].name, "vms.conf");
    assert_int_equal(info.modules[0].end, 0x200123);
    assert_ptr_equal(bootinfo_find_module(&info, "vmlinuz"), &info.modules[1]);
    assert_null(bootinfo_find_module(&info, "vmlinu"));
    assert_true(bootinfo_is_free(&info, 0x1ff000, 0x200000));
    assert_false(bootinfo_is_free(&info, 0x200122, 0x200124));
    assert_true(bootinfo_is_free(&info, 0x200123, 0x201000));
    assert_false(bootinfo_is_free(&info, 0x9f000, 0xa0000));
    assert_true(info.framebuffer.present);
    assert_int_equal(info.framebuffer.mode.red.position, 16);
    assert_int_equal(info.framebuffer.mode.pitch, 4096);
    assert_int_equal(info.rsdp_size, 20);
    assert_memory_equal(info.rsdp, "RSD PTR ", 8);
}

static void every_cut_is_noticed(void **state)
{
    begin();
    put_text(1, "report");
    put_small_machine();
    put_module(0x200000, 0x200123, "vms.conf");
    put_framebuffer(0xe0000000, 4096, 1024, 768, 32, 1);
    finish();
    size_t whole = made_size;
    for (size_t size = 0; size < whole; size++) {
        made_size = size;
        assert_int_equal(parse(), STATUS_TRUNCATED);
        assert_int_equal(info.module_count, 0);
        // The same with a total size that admits the cut.
        uint32_t total = (uint32_t)size, kept = (uint32_t)whole;
        memcpy(made, &total, 4);
        assert_int_equal(parse(), STATUS_TRUNCATED);
        memcpy(made, &kept, 4);
    }
}

static void a_tag_longer_than_the_rest_is_fatal(void **state)
{
    static const uint32_t sizes[] = {0, 7, 0x10000, 0xffffffff};
    for (size_t i = 0; i < 4; i++) {
        begin();
        put_small_machine();
        size_t tag = tag_begin(3);
        put64(0);
        memcpy(made + tag + 4, &sizes[i], 4);
        finish();
        assert_int_equal(parse(), STATUS_TRUNCATED);
        assert_true(noted("tag 3"));
    }
}

static void no_memory_map_is_fatal(void **state)
{
    begin();
    finish();
    assert_int_equal(parse(), STATUS_NOT_FOUND);
    assert_true(noted("no memory map"));

    begin();
    size_t tag = map_begin();
    put_range(0, 0x100000, 2);
    put_range(0x100800, 0x800, 1); // not one whole page
    tag_end(tag);
    finish();
    assert_int_equal(parse(), STATUS_NOT_FOUND);
    assert_true(noted("no usable memory"));

    begin();
    tag = tag_begin(6);
    put32(16);
    put32(0);
    tag_end(tag);
    finish();
    assert_int_equal(parse(), STATUS_INVALID);
}

static void bad_modules_are_dropped_with_a_line_each(void **state)
{
    begin();
    put_small_machine();
    put_module(0x200000, 0x201000, "good");
    put_module(0x202000, 0x202000, "nothing");
    put_module(0x300000, 0x302000, "left");
    put_module(0x301fff, 0x303000, "right");
    put_module(0x9e000, 0x9f001, "beyond");
    put_module(0xc0000000, 0xc0001000, "nowhere");
    put_module(0x400000, 0x401000, "");
    put_module(0x402000, 0x403000, "good");
    put_module(0x404000, 0x405000, "also good");
    finish();
    assert_int_equal(parse(), STATUS_OK);
    assert_int_equal(info.module_count, 2);
    assert_string_equal(info.modules[0].name, "good");
    assert_int_equal(info.modules[0].start, 0x200000);
    assert_string_equal(info.modules[1].name, "also good");
    assert_true(noted("\"nothing\" (0x202000-0x202000) is empty"));
    assert_true(noted("\"left\" (0x300000-0x302000) overlaps"));
    assert_true(noted("\"right\" (0x301fff-0x303000) overlaps"));
    assert_true(noted("\"beyond\" (0x9e000-0x9f001) is not inside"));
    assert_true(noted("\"nowhere\" (0xc0000000-0xc0001000) is not inside"));
    assert_true(noted("has no name"));
    assert_true(noted("(0x402000-0x403000) has the name of an earlier"));
    assert_true(noted("RSDP"));
    assert_int_equal(info.notes.status, STATUS_OK);
}

static void too_many_modules(void **state)
{
    begin();
    put_small_machine();
    for (uint32_t i = 0; i < BOOT_MODULES_MAX + 2; i++) {
        char name[8];
        snprintf(name, sizeof(name), "m%u", i);
        put_module(0x200000 + i * 0x1000, 0x200800 + i * 0x1000, name);
    }
    finish();
    assert_int_equal(parse(), STATUS_OK);
    assert_int_equal(info.module_count, BOOT_MODULES_MAX);
    assert_string_equal(info.modules[BOOT_MODULES_MAX - 1].name, "m63");
    assert_true(noted("the one at 0x240000 is ignored"));
    assert_true(noted("the one at 0x241000 is ignored"));
}

static void the_new_rsdp_wins_in_any_order(void **state)
{
    for (int order = 0; order < 2; order++) {
        begin();
        put_small_machine();
        for (int i = 0; i < 2; i++) {
            bool is_new = i == order;
            uint8_t bytes[36];
            memset(bytes, is_new ? 'n' : 'o', sizeof(bytes));
            size_t tag = tag_begin(is_new ? 15 : 14);
            put(bytes, is_new ? 36 : 20);
            tag_end(tag);
        }
        finish();
        assert_int_equal(parse(), STATUS_OK);
        assert_int_equal(info.rsdp_size, 36);
        assert_int_equal(info.rsdp[0], 'n');
        assert_int_equal(info.notes.count, 0);
    }
    begin();
    put_small_machine();
    size_t tag = tag_begin(15);
    put("short", 5);
    tag_end(tag);
    finish();
    assert_int_equal(parse(), STATUS_OK);
    assert_int_equal(info.rsdp_size, 0);
    assert_true(noted("not 36"));
}

static void screens_that_cannot_be_drawn_on_are_refused(void **state)
{
    static const struct {
        uint64_t address;
        uint32_t pitch, width, height;
        uint8_t bpp, type;
        bool good;
        const char *words;
    } rows[] = {
        {0xb8000, 160, 80, 25, 16, 2, true, ""},
        {0xb8000, 150, 80, 25, 16, 2, false, "pitch"},
        {0xe0000000, 2400, 800, 600, 24, 1, true, ""},
        {0xe0000000, 2399, 800, 600, 24, 1, false, "pitch"},
        {0x3800000000, 2400, 800, 600, 24, 1, true, ""},
        {0, 2400, 800, 600, 24, 1, false, "zero"},
        {0xe0000000, 2400, 0, 600, 24, 1, false, "zero"},
        {0xe0000000, 800, 800, 600, 8, 0, false, "indexed"},
        {0xe0000000, 800, 800, 600, 8, 7, false, "type 7"},
        {0xe0000000, 0xffffffff, 800, 40000, 24, 1, false, "32768"},
        {0xe0000000, 0xffffffff, 0x80000000, 600, 24, 1, false, "32768"},
        {0xffffffffffff0000, 2400, 800, 600, 24, 1, false, "64 TiB"},
        {0xe0000000, 28, 7, 16, 32, 1, false, "character"},
        {0xe0000000, 32, 8, 15, 32, 1, false, "character"},
        {0xe0000000, 32, 8, 16, 32, 1, true, ""},
        {0xe0000000, 31, 8, 16, 32, 1, false, "pitch"},
        {0xe0000000, 2400, 800, 600, 12, 1, false, "depth"},
        {0xe0000000, 2400, 800, 600, 8, 1, false, "depth"},
        {0xe0000000, 2400, 800, 600, 16, 1, false, "colour fields"}, // red at bit 16
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        begin();
        put_small_machine();
        put_framebuffer(rows[i].address, rows[i].pitch, rows[i].width, rows[i].height, rows[i].bpp,
                        rows[i].type);
        finish();
        assert_int_equal(parse(), STATUS_OK);
        assert_int_equal(info.framebuffer.present, rows[i].good);
        assert_int_equal(noted("no screen"), !rows[i].good);
        if (!rows[i].good)
            assert_true(noted(rows[i].words));
    }
}

static void long_texts_are_cut(void **state)
{
    char text[3000];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    begin();
    put_text(1, text);
    put_small_machine();
    put_module(0x200000, 0x201000, text);
    finish();
    assert_int_equal(parse(), STATUS_OK);
    assert_int_equal(strlen(info.cmdline), BOOT_CMDLINE_MAX - 1);
    assert_true(noted("command line is cut"));
    assert_true(noted("name is cut"));

    // A string without its NUL ends with its tag.
    begin();
    size_t tag = tag_begin(1);
    put("abc", 3);
    tag_end(tag);
    put_small_machine();
    finish();
    assert_int_equal(parse(), STATUS_OK);
    assert_string_equal(info.cmdline, "abc");
}

static void a_fatal_note_finds_room_in_a_full_list(void **state)
{
    begin();
    for (int i = 0; i < 50; i++)
        tag_end(tag_begin(3)); // modules without a body
    finish();
    assert_int_equal(parse(), STATUS_NOT_FOUND);
    assert_int_equal(info.notes.count, NOTES_MAX);
    assert_int_equal(info.notes.left_out, 50 - NOTES_MAX + 1);
    assert_true(noted("no memory map"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_machine),
        cmocka_unit_test(every_cut_is_noticed),
        cmocka_unit_test(a_tag_longer_than_the_rest_is_fatal),
        cmocka_unit_test(no_memory_map_is_fatal),
        cmocka_unit_test(bad_modules_are_dropped_with_a_line_each),
        cmocka_unit_test(too_many_modules),
        cmocka_unit_test(the_new_rsdp_wins_in_any_order),
        cmocka_unit_test(screens_that_cannot_be_drawn_on_are_refused),
        cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(a_fatal_note_finds_room_in_a_full_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
