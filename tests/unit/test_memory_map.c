// boot/info/host_memory.c: maps that are unsorted, contradict themselves or are too long.

#include "tests/unit/boot_loader.h"

static void assert_range(uint32_t index, uint64_t start, uint64_t end, enum memory_type type)
{
    assert_int_equal(info.memory[index].start, start);
    assert_int_equal(info.memory[index].end, end);
    assert_int_equal(info.memory[index].type, type);
}

static void a_contradicting_map_is_resolved(void **state)
{
    begin();
    size_t tag = map_begin();
    put_range(0x100000, 0x100000, 1); // not sorted, with a hole, twice, and split
    put_range(0, 0x1000, 1);
    put_range(0x1000, 0x1000, 1);
    put_range(0x100000, 0x100000, 1);
    put_range(0x140800, 0x1000, 2);           // reserved in the middle of usable, not aligned
    put_range(0x1f0000, 0x20000, 3);          // ACPI over the end
    put_range(0x1f8000, 0x1000, 99);          // unknown is reserved
    put_range(0x150000, 0, 5);                // nothing
    put_range(0xfffffffffffff000, 0x2000, 2); // wraps
    tag_end(tag);
    finish();
    assert_int_equal(parse(), STATUS_OK);
    assert_int_equal(info.memory_count, 8);
    assert_range(0, 0, 0x2000, MEMORY_USABLE);
    assert_range(1, 0x100000, 0x140000, MEMORY_USABLE);
    assert_range(2, 0x140800, 0x141800, MEMORY_RESERVED);
    assert_range(3, 0x142000, 0x1f0000, MEMORY_USABLE);
    assert_range(4, 0x1f0000, 0x1f8000, MEMORY_ACPI);
    assert_range(5, 0x1f8000, 0x1f9000, MEMORY_RESERVED);
    assert_range(6, 0x1f9000, 0x210000, MEMORY_ACPI);
    assert_range(7, 0xfffffffffffff000, UINT64_MAX, MEMORY_RESERVED);
    assert_true(bootinfo_is_usable(&info, 0x100000, 0x140000));
    assert_false(bootinfo_is_usable(&info, 0x100000, 0x140001));
    assert_false(bootinfo_is_usable(&info, 0xfff, 0xfff));
    assert_false(bootinfo_is_usable(&info, 0x1fff, 0x2001));
}

// As UEFI firmware has it: hundreds of pieces in any order, neighbours of different types.
static void a_long_map_is_taken_whole(void **state)
{
    begin();
    size_t tag = map_begin();
    for (uint64_t i = 0; i < 300; i++) {
        uint64_t at = i * 7 % 300; // every piece once
        put_range(0x100000 + at * 0x10000, 0x10000, at % 2 ? 2 : 1);
    }
    tag_end(tag);
    finish();
    assert_int_equal(parse(), STATUS_OK);
    assert_int_equal(info.memory_count, 300);
    assert_int_equal(usable_bytes(), 150 * 0x10000);
    for (uint32_t i = 0; i < 300; i++)
        assert_range(i, 0x100000 + i * UINT64_C(0x10000), 0x110000 + i * UINT64_C(0x10000),
                     i % 2 ? MEMORY_RESERVED : MEMORY_USABLE);
    assert_false(noted("ranges"));
}

static void too_many_ranges_leave_the_rest_unused(void **state)
{
    begin();
    size_t tag = map_begin();
    for (uint64_t i = 0; i < 600; i++)
        put_range(0x100000 + i * 0x10000, 0x1000, 1);
    tag_end(tag);
    finish();
    assert_int_equal(parse(), STATUS_OK);
    assert_int_equal(info.memory_count, BOOT_MEMORY_MAX);
    assert_true(noted("more than 512 ranges"));
    assert_true(noted("0x2100000 on")); // 0x100000 + 512 * 0x10000
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_contradicting_map_is_resolved),
        cmocka_unit_test(a_long_map_is_taken_whole),
        cmocka_unit_test(too_many_ranges_leave_the_rest_unused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
