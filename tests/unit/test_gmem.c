// vm/gmem.c: bounds, ranges across regions, compare-exchange.

#include "tests/unit/support.h"

#include "vm/gmem.h"

_Alignas(16) static uint8_t low[8192], middle[4096], high[4096];
static const struct gmem memory = {
    .count = 3,
    .region = {{{0x0}, sizeof(low), low},
               {{0x2000}, sizeof(middle), middle},
               {{UINT64_MAX - 4095}, sizeof(high), high}},
};

static int fill(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(low); i++)
        low[i] = (uint8_t)(i * 7);
    for (unsigned i = 0; i < sizeof(middle); i++)
        middle[i] = (uint8_t)(i * 13 + 1);
    memset(high, 0x5a, sizeof(high));
    return 0;
}

static void a_range_is_found_inside_one_region_only(void **state)
{
    (void)state;
    assert_ptr_equal(gmem_at(&memory, gpa(0), 1), low);
    assert_ptr_equal(gmem_at(&memory, gpa(0), 8192), low);
    assert_null(gmem_at(&memory, gpa(0), 8193));
    assert_ptr_equal(gmem_at(&memory, gpa(0x1fff), 1), low + 0x1fff);
    assert_null(gmem_at(&memory, gpa(0x1fff), 2));
    assert_ptr_equal(gmem_at(&memory, gpa(0x2fff), 1), middle + 0xfff);
    assert_null(gmem_at(&memory, gpa(0x3000), 1));
    assert_null(gmem_at(&memory, gpa(0x10), UINT64_MAX));
    assert_ptr_equal(gmem_at(&memory, gpa(UINT64_MAX), 1), high + 4095);
    assert_null(gmem_at(&memory, gpa(UINT64_MAX), 2));
}

static void what_we_see_as_ram_is_known(void **state)
{
    (void)state;
    static const uint8_t other[1];
    gpa_t at;
    assert_true(gmem_find(&memory, low, &at));
    assert_int_equal(at.value, memory.region[0].start.value);
    assert_true(gmem_find(&memory, middle + sizeof(middle) - 1, &at));
    assert_int_equal(at.value, memory.region[1].start.value + sizeof(middle) - 1);
    assert_false(gmem_find(&memory, other, &at));
    assert_false(gmem_find(&memory, NULL, &at));
}

static void copies_run_across_adjacent_regions(void **state)
{
    (void)state;
    uint8_t bytes[64];
    assert_true(gmem_read(&memory, gpa(0x2000 - 20), bytes, sizeof(bytes)));
    assert_memory_equal(bytes, low + 0x2000 - 20, 20);
    assert_memory_equal(bytes + 20, middle, 44);
    memset(bytes, 0xee, sizeof(bytes));
    assert_true(gmem_write(&memory, gpa(0x2000 - 3), bytes, 10));
    assert_memory_equal(low + 0x2000 - 3, bytes, 3);
    assert_memory_equal(middle, bytes, 7);
    assert_int_equal(middle[7], (uint8_t)(7 * 13 + 1));
}

static void a_copy_that_leaves_ram_moves_nothing(void **state)
{
    (void)state;
    uint8_t bytes[64], untouched[64];
    memset(bytes, 0xee, sizeof(bytes));
    memcpy(untouched, bytes, sizeof(bytes));
    assert_false(gmem_read(&memory, gpa(0x3000 - 20), bytes, sizeof(bytes)));
    assert_memory_equal(bytes, untouched, sizeof(bytes));
    assert_false(gmem_write(&memory, gpa(0x3000 - 20), bytes, sizeof(bytes)));
    assert_int_equal(middle[4095], (uint8_t)(4095 * 13 + 1));
    // Past the last address there is no address 0.
    assert_false(gmem_write(&memory, gpa(UINT64_MAX - 3), bytes, 8));
    assert_int_equal(high[4095], 0x5a);
}

static void each_size_moves_whole(void **state)
{
    (void)state;
    for (unsigned size = 0; size <= 17; size++)
        for (unsigned at = 0; at < 17; at++) {
            uint8_t bytes[17] = {0}, pattern[17];
            memset(pattern, 0xa0 + (int)size, sizeof(pattern));
            assert_true(gmem_read(&memory, gpa(at), bytes, size));
            assert_memory_equal(bytes, low + at, size);
            fill(NULL);
            assert_true(gmem_write(&memory, gpa(64 + at), pattern, size));
            assert_memory_equal(low + 64 + at, pattern, size);
            assert_int_equal(low[63 + at], (uint8_t)((63 + at) * 7));
            assert_int_equal(low[64 + at + size], (uint8_t)((64 + at + size) * 7));
        }
}

static void compare_exchange_replaces_only_what_is_expected(void **state)
{
    (void)state;
    for (unsigned size = 1; size <= 8; size *= 2) {
        fill(NULL);
        uint64_t present = 0, value = UINT64_C(0x1122334455667788);
        memcpy(&present, low + 16, size);
        uint64_t expected = present ^ 1;
        assert_false(gmem_compare_exchange(&memory, gpa(16), size, &expected, value));
        assert_int_equal(expected, present);
        assert_true(gmem_compare_exchange(&memory, gpa(16), size, &expected, value));
        assert_memory_equal(low + 16, &value, size);
        assert_int_equal(low[16 + size], (uint8_t)((16 + size) * 7));
    }
    uint64_t expected = 1;
    assert_false(gmem_compare_exchange(&memory, gpa(0x3000), 8, &expected, 2));
    assert_int_equal(expected, 1);
    memcpy(&expected, low + 4, 8);
    assert_false(gmem_compare_exchange(&memory, gpa(4), 8, &expected, 2)); // not aligned
}

static void sixteen_bytes_are_exchanged_at_once(void **state)
{
    (void)state;
    uint64_t expected[2] = {0, 0}, present[2];
    const uint64_t value[2] = {1, 2};
    memcpy(present, low + 32, 16);
    assert_false(gmem_compare_exchange_16(&memory, gpa(32), expected, value));
    assert_memory_equal(expected, present, 16);
    assert_memory_equal(low + 32, present, 16);
    assert_true(gmem_compare_exchange_16(&memory, gpa(32), expected, value));
    assert_memory_equal(low + 32, value, 16);
    assert_false(gmem_compare_exchange_16(&memory, gpa(8), expected, value));
    assert_false(gmem_compare_exchange_16(&memory, gpa(0x3000), expected, value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_range_is_found_inside_one_region_only, fill),
        cmocka_unit_test_setup(what_we_see_as_ram_is_known, fill),
        cmocka_unit_test_setup(copies_run_across_adjacent_regions, fill),
        cmocka_unit_test_setup(a_copy_that_leaves_ram_moves_nothing, fill),
        cmocka_unit_test_setup(each_size_moves_whole, fill),
        cmocka_unit_test_setup(compare_exchange_replaces_only_what_is_expected, fill),
        cmocka_unit_test_setup(sixteen_bytes_are_exchanged_at_once, fill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
