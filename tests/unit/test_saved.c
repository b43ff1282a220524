// The records of a saved VM: written, read, damaged.

#include "control/state/saved.h"
#include "tests/unit/support.h"

#define RAM (4 << 20)

static uint8_t bytes[2 << 20], ram[RAM], other_ram[RAM];
static uint64_t used, at, pauses;
static struct gmem memory, other;
static struct gmem_piece pieces[2], other_pieces[2];
static struct explanation why;

static bool put(struct saved_writer *to, const void *from, uint64_t length)
{
    if (used + length > sizeof(bytes))
        return false;
    memcpy(bytes + used, from, length);
    used += length;
    return true;
}

static bool get(struct saved_reader *from, void *to, uint64_t length)
{
    if (length > used - at)
        return false;
    memcpy(to, bytes + at, length);
    at += length;
    return true;
}

static bool pause(struct saved_writer *to)
{
    return ++pauses < 1000;
}

static struct saved_writer writer;
static struct saved_reader reader;

static int set_up(void **state)
{
    used = at = pauses = 0;
    memset(ram, 0, RAM);
    memset(other_ram, 0, RAM);
    writer = (struct saved_writer){.put = put, .pause = pause};
    reader = (struct saved_reader){.get = get};
    memset(pieces, 0, sizeof(pieces));
    memset(other_pieces, 0, sizeof(other_pieces));
    gmem_init(&memory, pieces, 2);
    gmem_add(&memory, gpa(0), ram, RAM);
    gmem_init(&other, other_pieces, 2);
    gmem_add(&other, gpa(0), other_ram, RAM);
    return 0;
}

static void make(void)
{
    static const char name[] = "name = web";
    memset(ram + 0x5000, 0x11, 0x3000);
    ram[0x80fff] = 1;
    memset(ram + 0x200000, 0x22, 0x21000);
    ram[RAM - 1] = 3;
    assert_true(saved_begin(&writer));
    assert_true(saved_put(&writer, SAVED_VM, 0, name, sizeof(name) - 1));
    assert_true(saved_put_space(&writer, "ram", RAM, &memory, true));
    assert_true(saved_end(&writer));
    assert_int_equal(used, writer.written);
}

static status_t load(void)
{
    struct saved_record record;
    char text[SAVED_TEXT];
    status_t status = saved_open(&reader, &why);
    if (status == STATUS_OK)
        status = saved_expect(&reader, SAVED_VM, &record, &why);
    if (status == STATUS_OK)
        status = saved_text(&reader, &record, text, &why);
    if (status == STATUS_OK)
        status = saved_expect(&reader, SAVED_SPACE, &record, &why);
    if (status == STATUS_OK)
        status = saved_text(&reader, &record, text, &why);
    while (status == STATUS_OK) {
        status = saved_next(&reader, &record, &why);
        if (status == STATUS_OK && record.type == SAVED_END)
            return saved_finish(&reader, &record, &why);
        if (status == STATUS_OK)
            status = record.type == SAVED_PAGES
                         ? saved_pages(&reader, &record, &other, &why)
                         : explain(&why, STATUS_INVALID, "type %u", record.type);
    }
    return status;
}

static void what_was_saved_comes_again(void **state)
{
    make();
    assert_int_equal(load(), STATUS_OK);
    assert_int_equal(at, used);
    assert_memory_equal(ram, other_ram, RAM);
    // 3 + 1 + 33 + 1 pages: zeros are not there, and a record's head is all that a run costs.
    assert_int_equal(used, 16 + 16 + 16 + 16 + 8 + 38 * 4096 + 6 * 16 + 16 + 16);
    assert_true(pauses >= RAM / SAVED_RUN / 2);
}

// Zeros where a file had something are as good as anything else; and nobody takes all of them here.
static void a_space_that_begins_with_a_file_has_its_zeros(void **state)
{
    assert_false(saved_put_space(&writer, "disk0", RAM, &memory, false));
    assert_in_range(used, sizeof(bytes) - 2 * SAVED_RUN, sizeof(bytes));
}

static void what_is_damaged_or_cut_is_found(void **state)
{
    make();
    uint64_t whole = used;
    for (used = 0; used < whole; used += used < 400 ? 1 : 4099) {
        at = 0;
        reader = (struct saved_reader){.get = get};
        assert_int_equal(load(), STATUS_TRUNCATED);
    }
    used = whole;
    for (uint64_t i = 0; i < whole; i += i < 400 ? 1 : 4099) {
        at = 0;
        reader = (struct saved_reader){.get = get};
        bytes[i] ^= 0x10;
        why.text[0] = '\0';
        assert_int_not_equal(load(), STATUS_OK);
        assert_true(why.text[0]);
        bytes[i] ^= 0x10;
    }
    at = 0;
    reader = (struct saved_reader){.get = get};
    assert_int_equal(load(), STATUS_OK);
}

static void words_that_change_places_are_found(void **state)
{
    make();
    uint8_t page[4096];
    memcpy(page, bytes + used - 32 - 4096, 4096); // the last one
    memset(bytes + used - 32 - 4096, 0, 4096);
    bytes[used - 32 - 4096 + 7] = page[4095];
    assert_int_equal(load(), STATUS_INVALID);
    assert_non_null(strstr(why.text, "sums"));
}

static void an_unknown_record_is_passed_over_if_it_says_so(void **state)
{
    struct saved_record record;
    assert_true(saved_put(&writer, 77 | SAVED_OPTIONAL, 5, "abc", 3));
    assert_true(saved_put(&writer, SAVED_TIME, 5, ram, 24));
    assert_true(saved_put(&writer, 77, 5, "abc", 3));
    assert_int_equal(saved_expect(&reader, SAVED_TIME, &record, &why), STATUS_OK);
    assert_int_equal(saved_body(&reader, &record, ram, 24, 24, &why), STATUS_OK);
    assert_int_equal(saved_next(&reader, &record, &why), STATUS_UNSUPPORTED);
    assert_string_equal(why.text, "a record of type 77, which we do not know, and must: update");
}

static void pages_are_where_there_is_memory(void **state)
{
    static const struct {
        uint64_t at;
        uint32_t length;
    } wrong[] = {{RAM, 4096}, {RAM - 4096, 8192}, {~0xfffULL, 8192}, {1, 4096}, {0, 4095}};
    struct saved_record record;
    for (unsigned i = 0; i < ARRAY_LENGTH(wrong); i++) {
        at = used = 0;
        assert_true(saved_put(&writer, SAVED_PAGES, wrong[i].at, ram, wrong[i].length));
        assert_int_equal(saved_next(&reader, &record, &why), STATUS_OK);
        assert_int_not_equal(saved_pages(&reader, &record, &other, &why), STATUS_OK);
    }
}

static void texts_are_texts(void **state)
{
    struct saved_record record;
    char text[SAVED_TEXT];
    assert_true(saved_put(&writer, SAVED_VM, 0, "a\033b", 3));
    assert_int_equal(saved_next(&reader, &record, &why), STATUS_OK);
    assert_int_equal(saved_text(&reader, &record, text, &why), STATUS_INVALID);
    assert_true(saved_put(&writer, SAVED_VM, 0, ram, SAVED_TEXT));
    assert_int_equal(saved_next(&reader, &record, &why), STATUS_OK);
    assert_int_equal(saved_text(&reader, &record, text, &why), STATUS_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_was_saved_comes_again, set_up),
        cmocka_unit_test_setup(a_space_that_begins_with_a_file_has_its_zeros, set_up),
        cmocka_unit_test_setup(what_is_damaged_or_cut_is_found, set_up),
        cmocka_unit_test_setup(words_that_change_places_are_found, set_up),
        cmocka_unit_test_setup(an_unknown_record_is_passed_over_if_it_says_so, set_up),
        cmocka_unit_test_setup(pages_are_where_there_is_memory, set_up),
        cmocka_unit_test_setup(texts_are_texts, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
