// vm/gmem.c: bounds, ranges across regions, compare-exchange.

#include "tests/unit/support.h"

#include "vm/gmem.h"

// RAM of 2 MiB and of a page of it, and pages elsewhere: the first, the second by itself, and the
// last but one before the last.
_Alignas(16) static uint8_t low[GMEM_PIECE], middle[4096], first[4096], second[4096], last[4096];
static uint8_t *pages[GMEM_PIECE / PAGE_SIZE];
static struct gmem_piece table[4];
static struct gmem memory;

#define LOW    GMEM_PIECE
#define MIDDLE (2 * GMEM_PIECE)
#define END    (MIDDLE + sizeof(middle))
#define PAGES  (3 * GMEM_PIECE)

static int set_up(void **state)
{
    memset(pages, 0, sizeof(pages));
    memset(table, 0, sizeof(table));
    gmem_init(&memory, table, ARRAY_LENGTH(table));
    gmem_add(&memory, gpa(LOW), low, sizeof(low));
    gmem_add(&memory, gpa(MIDDLE), middle, sizeof(middle));
    pages[0] = first;
    pages[1] = second;
    pages[511] = last;
    table[3].page = pages;
    table[3].there = 3;
    return 0;
}

static int fill(void **state)
{
    set_up(state);
    for (unsigned i = 0; i < sizeof(low); i++)
        low[i] = (uint8_t)(i * 7);
    for (unsigned i = 0; i < sizeof(middle); i++)
        middle[i] = (uint8_t)(i * 13 + 1);
    memset(first, 0x11, sizeof(first));
    memset(second, 0x22, sizeof(second));
    memset(last, 0x5a, sizeof(last));
    return 0;
}

static void a_range_is_found_inside_one_piece_only(void **state)
{
    assert_null(gmem_at(&memory, gpa(0), 1));
    assert_null(gmem_at(&memory, gpa(LOW - 1), 1));
    assert_ptr_equal(gmem_at(&memory, gpa(LOW), 1), low);
    assert_ptr_equal(gmem_at(&memory, gpa(LOW), sizeof(low)), low);
    assert_null(gmem_at(&memory, gpa(LOW), sizeof(low) + 1));
    assert_ptr_equal(gmem_at(&memory, gpa(MIDDLE - 1), 1), low + sizeof(low) - 1);
    assert_null(gmem_at(&memory, gpa(MIDDLE - 1), 2));
    assert_ptr_equal(gmem_at(&memory, gpa(END - 1), 1), middle + 0xfff);
    assert_null(gmem_at(&memory, gpa(END), 1));
    assert_null(gmem_at(&memory, gpa(LOW + 16), UINT64_MAX));
    assert_null(gmem_at(&memory, gpa(PAGES - 1), 1));
    assert_ptr_equal(gmem_at(&memory, gpa(PAGES), 4096), first);
    assert_null(gmem_at(&memory, gpa(PAGES + 1), 4096));
    assert_ptr_equal(gmem_at(&memory, gpa(PAGES + 0x1008), 8), second + 8);
    assert_null(gmem_at(&memory, gpa(PAGES + 0x2000), 1));
    assert_ptr_equal(gmem_at(&memory, gpa(PAGES + GMEM_PIECE - 1), 1), last + 4095);
    assert_null(gmem_at(&memory, gpa(PAGES + GMEM_PIECE), 1));
    assert_null(gmem_at(&memory, gpa(UINT64_MAX), 1));
}

static void regions_are_what_lies_together_for_the_guest(void **state)
{
    assert_int_equal(memory.count, 1);
    assert_int_equal(memory.region[0].start.value, LOW);
    assert_int_equal(memory.region[0].size, sizeof(low) + sizeof(middle));
    expect_panic(gmem_add(&memory, gpa(PAGES + 4096), low, 4096));
    expect_panic(gmem_add(&memory, gpa(4 * GMEM_PIECE), low, 4096));
}

static void runs_lie_together_for_both(void **state)
{
    uint64_t at = 0, size;
    assert_ptr_equal(gmem_next(&memory, &at, UINT64_MAX, &size), low);
    assert_int_equal(at, LOW);
    assert_int_equal(size, low + sizeof(low) == middle ? END - LOW : sizeof(low));
    at = LOW + 4096;
    assert_ptr_equal(gmem_next(&memory, &at, 8192, &size), low + 4096);
    assert_int_equal(size, 8192);
    at = END; // nothing behind it in its piece
    assert_ptr_equal(gmem_next(&memory, &at, 100, &size), first);
    assert_int_equal(at, PAGES);
    // The same RAM twice in a row, and one piece of it behind the other.
    uint8_t *two = test_malloc(2 * GMEM_PIECE);
    gmem_init(&memory, table, ARRAY_LENGTH(table));
    memset(table, 0, sizeof(table));
    gmem_add(&memory, gpa(0), two, 2 * GMEM_PIECE);
    gmem_add(&memory, gpa(2 * GMEM_PIECE), two, GMEM_PIECE);
    at = 4096;
    assert_ptr_equal(gmem_next(&memory, &at, UINT64_MAX, &size), two + 4096);
    assert_int_equal(size, 2 * GMEM_PIECE - 4096);
    at += size;
    assert_ptr_equal(gmem_next(&memory, &at, UINT64_MAX, &size), two);
    assert_int_equal(size, GMEM_PIECE);
    at += size;
    assert_null(gmem_next(&memory, &at, UINT64_MAX, &size));
    test_free(two);
}

static void what_we_see_as_ram_is_known(void **state)
{
    static const uint8_t other[1];
    gpa_t at;
    assert_true(gmem_find(&memory, low, &at));
    assert_int_equal(at.value, LOW);
    assert_true(gmem_find(&memory, middle + sizeof(middle) - 1, &at));
    assert_int_equal(at.value, END - 1);
    assert_true(gmem_find(&memory, last + 5, &at));
    assert_int_equal(at.value, PAGES + GMEM_PIECE - 4096 + 5);
    assert_false(gmem_find(&memory, other, &at));
    assert_false(gmem_find(&memory, NULL, &at));
}

static void copies_run_across_pieces(void **state)
{
    uint8_t bytes[64];
    assert_true(gmem_read(&memory, gpa(MIDDLE - 20), bytes, sizeof(bytes)));
    assert_memory_equal(bytes, low + sizeof(low) - 20, 20);
    assert_memory_equal(bytes + 20, middle, 44);
    memset(bytes, 0xee, sizeof(bytes));
    assert_true(gmem_write(&memory, gpa(MIDDLE - 3), bytes, 10));
    assert_memory_equal(low + sizeof(low) - 3, bytes, 3);
    assert_memory_equal(middle, bytes, 7);
    assert_int_equal(middle[7], (uint8_t)(7 * 13 + 1));
    assert_true(gmem_write(&memory, gpa(PAGES + 4090), bytes, 10));
    assert_memory_equal(first + 4090, bytes, 6);
    assert_memory_equal(second, bytes, 4);
    assert_int_equal(second[4], 0x22);
}

static void a_copy_that_leaves_ram_moves_nothing(void **state)
{
    uint8_t bytes[64], untouched[64];
    memset(bytes, 0xee, sizeof(bytes));
    memcpy(untouched, bytes, sizeof(bytes));
    assert_false(gmem_read(&memory, gpa(END - 20), bytes, sizeof(bytes)));
    assert_memory_equal(bytes, untouched, sizeof(bytes));
    assert_false(gmem_write(&memory, gpa(END - 20), bytes, sizeof(bytes)));
    assert_int_equal(middle[4095], (uint8_t)(4095 * 13 + 1));
    assert_false(gmem_write(&memory, gpa(PAGES + GMEM_PIECE - 4), bytes, 8));
    assert_int_equal(last[4095], 0x5a);
    assert_false(gmem_write(&memory, gpa(UINT64_MAX - 3), bytes, 8));
}

// Between the memories of two, over pieces of both.
static void one_memory_is_copied_to_another(void **state)
{
    static uint8_t bytes[GMEM_PIECE + 4096];
    static struct gmem_piece pieces[2];
    struct gmem other;
    memset(bytes, 0, sizeof(bytes));
    memset(pieces, 0, sizeof(pieces));
    gmem_init(&other, pieces, 2);
    gmem_add(&other, gpa(0), bytes, sizeof(bytes));
    assert_true(gmem_copy(&other, gpa(GMEM_PIECE - 30), &memory, gpa(MIDDLE - 20), 64));
    assert_memory_equal(bytes + GMEM_PIECE - 30, low + sizeof(low) - 20, 20);
    assert_memory_equal(bytes + GMEM_PIECE - 10, middle, 44);
    assert_int_equal(bytes[GMEM_PIECE - 31] | bytes[GMEM_PIECE + 34], 0);
    assert_false(gmem_copy(&other, gpa(0), &memory, gpa(END - 20), 21));
    assert_false(gmem_copy(&memory, gpa(END - 20), &other, gpa(0), 21));
    assert_false(gmem_copy(&memory, gpa(END), &other, gpa(0), 8));
}

static void the_same_memory_is_seen_beside_another(void **state)
{
    struct gmem beside;
    uint8_t bytes[2];
    gmem_beside(&beside, &memory, 16);
    assert_ptr_equal(gmem_at(&beside, gpa(LOW + 32), 1), low + 48);
    assert_ptr_equal(gmem_at(&beside, gpa(PAGES + 32), 1), first + 48);
    assert_true(gmem_read(&beside, gpa(MIDDLE + 1), bytes, 2));
    assert_memory_equal(bytes, middle + 17, 2);
    pages[1] = NULL; // what goes there goes here
    assert_null(gmem_at(&beside, gpa(PAGES + PAGE_SIZE), 1));
}

static void a_range_becomes_zeros(void **state)
{
    assert_true(gmem_clear(&memory, gpa(MIDDLE - 20), 64));
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(i < 20 ? low[sizeof(low) - 20 + i] : middle[i - 20], 0);
    assert_int_equal(low[sizeof(low) - 21], (uint8_t)((sizeof(low) - 21) * 7));
    assert_int_equal(middle[44], (uint8_t)(44 * 13 + 1));
    assert_true(gmem_clear(&memory, gpa(PAGES + 4095), 2));
    assert_int_equal(first[4095] | second[0], 0);
    assert_int_equal(first[4094] + second[1], 0x33);
    assert_false(gmem_clear(&memory, gpa(END - 4), 8));
}

static void each_size_moves_whole(void **state)
{
    for (unsigned size = 0; size <= 17; size++)
        for (unsigned at = 0; at < 17; at++) {
            uint8_t bytes[17] = {0}, pattern[17];
            memset(pattern, 0xa0 + (int)size, sizeof(pattern));
            for (unsigned i = 60; i < 100; i++)
                low[i] = (uint8_t)(i * 7);
            assert_true(gmem_read(&memory, gpa(LOW + at), bytes, size));
            assert_memory_equal(bytes, low + at, size);
            assert_true(gmem_write(&memory, gpa(LOW + 64 + at), pattern, size));
            assert_memory_equal(low + 64 + at, pattern, size);
            assert_int_equal(low[63 + at], (uint8_t)((63 + at) * 7));
            assert_int_equal(low[64 + at + size], (uint8_t)((64 + at + size) * 7));
        }
}

static void compare_exchange_replaces_only_what_is_expected(void **state)
{
    for (unsigned size = 1; size <= 8; size *= 2) {
        fill(state);
        uint64_t present = 0, value = UINT64_C(0x1122334455667788);
        memcpy(&present, low + 16, size);
        uint64_t expected = present ^ 1;
        assert_false(gmem_compare_exchange(&memory, gpa(LOW + 16), size, &expected, value));
        assert_int_equal(expected, present);
        assert_true(gmem_compare_exchange(&memory, gpa(LOW + 16), size, &expected, value));
        assert_memory_equal(low + 16, &value, size);
        assert_int_equal(low[16 + size], (uint8_t)((16 + size) * 7));
    }
    uint64_t expected = 1;
    assert_false(gmem_compare_exchange(&memory, gpa(END), 8, &expected, 2));
    assert_int_equal(expected, 1);
    memcpy(&expected, low + 4, 8);
    assert_false(gmem_compare_exchange(&memory, gpa(LOW + 4), 8, &expected, 2)); // not aligned
}

static void sixteen_bytes_are_exchanged_at_once(void **state)
{
    uint64_t expected[2] = {0, 0}, present[2];
    const uint64_t value[2] = {1, 2};
    memcpy(present, low + 32, 16);
    assert_false(gmem_compare_exchange_16(&memory, gpa(LOW + 32), expected, value));
    assert_memory_equal(expected, present, 16);
    assert_memory_equal(low + 32, present, 16);
    assert_true(gmem_compare_exchange_16(&memory, gpa(LOW + 32), expected, value));
    assert_memory_equal(low + 32, value, 16);
    assert_false(gmem_compare_exchange_16(&memory, gpa(LOW + 8), expected, value));
    assert_false(gmem_compare_exchange_16(&memory, gpa(END), expected, value));
}

static void bits_of_a_byte_are_set_and_cleared(void **state)
{
    low[5] = 0xc0;
    assert_int_equal(gmem_set_bits(&memory, gpa(LOW + 5), 3), 0xc0);
    assert_int_equal(gmem_clear_bits(&memory, gpa(LOW + 5), 0x81), 0xc3);
    assert_int_equal(low[5], 0x42);
    assert_int_equal(gmem_set_bits(&memory, gpa(END), 1), 0);
    assert_int_equal(gmem_clear_bits(&memory, gpa(END), 1), 0);
}

static void what_is_published_has_a_version(void **state)
{
    const uint64_t value = 77;
    uint32_t version = 5; // odd: a writer left it so
    memcpy(low, &version, 4);
    assert_true(gmem_publish(&memory, gpa(LOW), gpa(LOW + 8), &value, 8));
    memcpy(&version, low, 4);
    assert_int_equal(version, 8);
    assert_memory_equal(low + 8, &value, 8);
    assert_true(gmem_publish(&memory, gpa(MIDDLE - 2), gpa(MIDDLE + 2), &value, 8)); // in two
    assert_memory_equal(middle + 2, &value, 8);
    uint8_t before[4];
    memcpy(before, low, 4);
    assert_false(gmem_publish(&memory, gpa(LOW), gpa(END - 4), &value, 8));
    assert_false(gmem_publish(&memory, gpa(END), gpa(LOW), &value, 8));
    assert_memory_equal(low, before, 4);
}

// ---- the log ----

static _Atomic uint64_t log_bits[4 * GMEM_PIECE / PAGE_SIZE / 64];

static bool logged(uint64_t at)
{
    return log_bits[at / PAGE_SIZE / 64] >> (at / PAGE_SIZE % 64) & 1;
}

// Exactly the pages of [from, from + length).
static void assert_logged(uint64_t from, uint64_t length)
{
    for (uint64_t at = 0; at < 4 * GMEM_PIECE; at += PAGE_SIZE)
        assert_int_equal(logged(at), length && at / PAGE_SIZE >= from / PAGE_SIZE &&
                                         at / PAGE_SIZE <= (from + length - 1) / PAGE_SIZE);
    memset((void *)log_bits, 0, sizeof(log_bits));
}

static void each_way_to_write_is_logged(void **state)
{
    uint8_t bytes[8192] = {0};
    uint64_t expected[2];
    const uint64_t value[2] = {1, 2};
    memory.dirty = log_bits;
    assert_true(gmem_write(&memory, gpa(LOW + 100), bytes, 1));
    assert_logged(LOW, 1);
    assert_true(gmem_write(&memory, gpa(LOW + 4095), bytes, 4098));
    assert_logged(LOW, 3 * 4096);
    assert_true(gmem_write(&memory, gpa(MIDDLE - 1), bytes, 2)); // two pieces
    assert_logged(MIDDLE - 1, 2);
    assert_true(gmem_write(&memory, gpa(LOW + 4096), bytes, 0));
    assert_false(gmem_write(&memory, gpa(END - 4), bytes, 8));
    assert_true(gmem_read(&memory, gpa(LOW), bytes, sizeof(bytes)));
    assert_logged(0, 0);
    gmem_set_bits(&memory, gpa(PAGES + 4096), 1);
    assert_logged(PAGES + 4096, 1);
    gmem_clear_bits(&memory, gpa(LOW + 4096), 1);
    assert_logged(LOW + 4096, 1);
    memcpy(expected, low + 8192, 16);
    assert_true(gmem_compare_exchange(&memory, gpa(LOW + 8192), 8, &expected[0], 1));
    assert_logged(LOW + 8192, 1);
    expected[0]++;
    assert_false(gmem_compare_exchange(&memory, gpa(LOW + 8192), 8, &expected[0], 1));
    assert_logged(0, 0);
    assert_true(gmem_compare_exchange_16(&memory, gpa(LOW + 8192), expected, value));
    assert_logged(LOW + 8192, 1);
    assert_true(gmem_copy(&memory, gpa(MIDDLE - 1), &memory, gpa(LOW), 2));
    assert_logged(MIDDLE - 1, 2);
    assert_true(gmem_clear(&memory, gpa(PAGES + 4095), 2));
    assert_logged(PAGES + 4095, 2);
    assert_true(gmem_publish(&memory, gpa(LOW + 4092), gpa(LOW + 4096), value, 8));
    assert_logged(LOW, 4097);
}

// ---- ROM ----

// Two pages of it in front of all addresses, in the second piece of its own memory too.
static void rom_is_read_and_not_written(void **state)
{
    static uint8_t bytes[2][4096];
    static uint8_t *rom_pages[2][GMEM_PIECE / PAGE_SIZE];
    static struct gmem_piece rom_table[2];
    static struct gmem rom;
    const gpa_t start = gpa(UINT64_C(0xfffff000));
    uint8_t two[2];
    uint64_t expected[2] = {0}, value[2] = {1, 1};
    assert_false(gmem_is_rom(&memory, gpa(0)));
    gmem_init(&rom, rom_table, 2);
    rom_pages[0][0] = bytes[0];
    rom_pages[0][1] = bytes[1];
    rom_table[0].page = rom_pages[0];
    bytes[0][4095] = 0x0f;
    bytes[1][0] = 0x10;
    memory.rom.memory = &rom;
    memory.rom.start = start;
    memory.rom.size = 8192;
    gpa_t end = gpa(start.value + 8192), across = gpa(start.value + 4095);
    assert_true(gmem_is_rom(&memory, start));
    assert_false(gmem_is_rom(&memory, gpa(start.value - 1)));
    assert_false(gmem_is_rom(&memory, end));
    assert_false(gmem_is_ram(&memory, start, 1));
    assert_ptr_equal(gmem_at(&memory, start, 4096), bytes[0]);
    assert_null(gmem_at(&memory, gpa(start.value - 1), 1));
    assert_null(gmem_at(&memory, gpa(end.value - 1), 2));
    assert_null(gmem_at(&memory, end, 1));
    assert_true(gmem_read(&memory, across, two, 2));
    assert_int_equal(two[0], 0x0f);
    assert_int_equal(two[1], 0x10);
    assert_false(gmem_read(&memory, gpa(end.value - 1), two, 2));
    assert_false(gmem_write(&memory, start, two, 1));
    assert_false(gmem_write(&memory, across, two, 2));
    assert_null(gmem_make_writable(&memory, start, 1));
    assert_false(gmem_compare_exchange_16(&memory, start, expected, value));
    assert_int_equal(gmem_set_bits(&memory, start, 1), 0);
    assert_false(gmem_clear(&memory, start, 1));
    assert_int_equal(bytes[0][0], 0);
    assert_ptr_equal(gmem_at(&memory, gpa(LOW), 1), low);
    uint64_t at = 4 * GMEM_PIECE, size;
    assert_null(gmem_next(&memory, &at, 1, &size)); // it is not the VM's RAM

    gmem_hide_rom(&memory, 4096);
    assert_null(gmem_at(&memory, start, 1));
    assert_ptr_equal(gmem_at(&memory, gpa(start.value + 4096), 1), bytes[1]);
    assert_true(gmem_read(&memory, across, two, 2)); // by no instruction
    gmem_hide_rom(&memory, 0);
    assert_ptr_equal(gmem_at(&memory, start, 1), bytes[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_range_is_found_inside_one_piece_only, fill),
        cmocka_unit_test_setup(regions_are_what_lies_together_for_the_guest, fill),
        cmocka_unit_test_setup(runs_lie_together_for_both, fill),
        cmocka_unit_test_setup(what_we_see_as_ram_is_known, fill),
        cmocka_unit_test_setup(copies_run_across_pieces, fill),
        cmocka_unit_test_setup(a_copy_that_leaves_ram_moves_nothing, fill),
        cmocka_unit_test_setup(one_memory_is_copied_to_another, fill),
        cmocka_unit_test_setup(the_same_memory_is_seen_beside_another, fill),
        cmocka_unit_test_setup(a_range_becomes_zeros, fill),
        cmocka_unit_test_setup(each_size_moves_whole, fill),
        cmocka_unit_test_setup(compare_exchange_replaces_only_what_is_expected, fill),
        cmocka_unit_test_setup(sixteen_bytes_are_exchanged_at_once, fill),
        cmocka_unit_test_setup(bits_of_a_byte_are_set_and_cleared, fill),
        cmocka_unit_test_setup(what_is_published_has_a_version, fill),
        cmocka_unit_test_setup(each_way_to_write_is_logged, fill),
        cmocka_unit_test_setup(rom_is_read_and_not_written, fill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
