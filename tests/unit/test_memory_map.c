// loaders/memory_map.c and loaders/room.c: what is RAM, what is reserved, and where things may be
// put.

#include "tests/unit/support.h"

#include "loaders/memory_map.h"
#include "loaders/room.h"
#include "vm/platform.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

// The map looks at one byte only, the last of the first MiB.
static uint8_t first_mib[MIB];

static status_t build(uint64_t bytes, struct memory_map *map, struct explanation *why)
{
    struct memory_layout layout = memory_layout(bytes);
    struct gmem memory = {.count = layout.high ? 2 : 1,
                          .region = {{gpa(0), layout.low, first_mib},
                                     {gpa(HIGH_MEMORY_START), layout.high, first_mib}}};
    return memory_map_build(&memory, map, why);
}

static void assert_range(const struct memory_map *map, unsigned i, uint64_t start, uint64_t end,
                         enum memory_type type)
{
    assert_true(i < map->count);
    assert_int_equal(map->range[i].start, start);
    assert_int_equal(map->range[i].start + map->range[i].size, end);
    assert_int_equal(map->range[i].type, type);
}

static void memory_is_split_at_three_gib(void **state)
{
    (void)state;
    assert_int_equal(memory_layout(256 * MIB).low, 256 * MIB);
    assert_int_equal(memory_layout(256 * MIB).high, 0);
    assert_int_equal(memory_layout(3 * GIB).low, 3 * GIB);
    assert_int_equal(memory_layout(3 * GIB).high, 0);
    assert_int_equal(memory_layout(3 * GIB + 4096).high, 4096);
    assert_int_equal(memory_layout(8 * GIB).low, 3 * GIB);
    assert_int_equal(memory_layout(8 * GIB).high, 5 * GIB);
}

static void a_large_vm_has_all_kinds_of_ranges(void **state)
{
    (void)state;
    struct memory_map map;
    assert_int_equal(build(8 * GIB, &map, NULL), STATUS_OK);
    assert_int_equal(map.count, 7);
    assert_range(&map, 0, 0, 0x9fc00, MEMORY_RAM);
    assert_range(&map, 1, 0x9fc00, 0xa0000, MEMORY_RESERVED);
    assert_range(&map, 2, 0xe0000, 0x100000, MEMORY_RESERVED);
    assert_range(&map, 3, 0x100000, 0xc0000000, MEMORY_RAM);
    assert_range(&map, 4, 0xfec00000, 0xfec01000, MEMORY_RESERVED);
    assert_range(&map, 5, 0xfee00000, 0xfee01000, MEMORY_RESERVED);
    assert_range(&map, 6, 0x100000000, 9 * GIB, MEMORY_RAM);
    assert_int_equal(memory_map_low_end(&map), 0xc0000000);
}

static void one_mib_is_the_least(void **state)
{
    (void)state;
    struct memory_map map;
    struct explanation why;
    assert_int_equal(build(MIB, &map, &why), STATUS_OK);
    assert_int_equal(map.count, 5);
    assert_int_equal(memory_map_low_end(&map), MIB);
    assert_int_equal(build(MIB - 4096, &map, &why), STATUS_RANGE);
    assert_string_equal(why.text,
                        "memory map: the VM's memory does not fill the first MiB; give it more");
    struct gmem none = {0};
    assert_int_equal(memory_map_build(&none, &map, &why), STATUS_RANGE);
}

static void adjacent_regions_become_one_range(void **state)
{
    (void)state;
    struct gmem memory = {.count = 3,
                          .region = {{gpa(0), 2 * MIB, first_mib},
                                     {gpa(2 * MIB), MIB, first_mib},
                                     {gpa(4 * MIB), MIB, first_mib}}};
    struct memory_map map;
    assert_int_equal(memory_map_build(&memory, &map, NULL), STATUS_OK);
    assert_range(&map, 3, MIB, 3 * MIB, MEMORY_RAM);
    assert_range(&map, 4, 4 * MIB, 5 * MIB, MEMORY_RAM);
    assert_int_equal(memory_map_low_end(&map), 3 * MIB);
    assert_ptr_equal(memory_map_find(&map, 3 * MIB - 1), &map.range[3]);
    assert_null(memory_map_find(&map, 3 * MIB));
    assert_null(memory_map_find(&map, 0xb8000));
}

static void claims_must_be_ram_and_not_overlap(void **state)
{
    (void)state;
    struct memory_map map;
    struct explanation why;
    assert_int_equal(build(16 * MIB, &map, NULL), STATUS_OK);
    struct room room = {.map = &map};
    assert_int_equal(room_claim(&room, 2 * MIB, MIB, "a.elf", &why), STATUS_OK);
    assert_int_equal(room_claim(&room, 3 * MIB, MIB, "b", &why), STATUS_OK);
    assert_int_equal(room_claim(&room, MIB, MIB, "c", &why), STATUS_OK);
    assert_int_equal(room_claim(&room, 3 * MIB - 1, 1, "d.elf", &why), STATUS_OVERLAP);
    assert_string_equal(why.text,
                        "d.elf: 0x1 bytes at 0x2fffff overlap a.elf at 0x200000; the file "
                        "is damaged or linked for another place");
    assert_int_equal(room_claim(&room, 15 * MIB, MIB + 1, "e", &why), STATUS_RANGE);
    assert_string_equal(
        why.text, "e: 1025 KiB at 0xf00000 are not inside the VM's RAM (below 0x9fc00, and 1 MiB "
                  "to 0x1000000); give it more memory or link the file for another place");
    assert_int_equal(room_claim(&room, 0x9fbff, 2, "f", &why), STATUS_RANGE);
    assert_int_equal(room_claim(&room, 15 * MIB, UINT64_MAX, "g", &why), STATUS_RANGE);
    assert_int_equal(room_claim(&room, UINT64_MAX, 2, "h", &why), STATUS_RANGE);
    assert_int_equal(room_claim(&room, UINT64_MAX, 0, "i", &why), STATUS_OK);
    assert_int_equal(room.count, 3);
    for (uint64_t at = 5 * MIB; room.count < ROOM_RANGES; at += 4096)
        assert_int_equal(room_claim(&room, at, 1, "j", &why), STATUS_OK);
    assert_int_equal(room_claim(&room, 15 * MIB, 1, "k", &why), STATUS_FULL);
}

static void the_lowest_and_the_highest_place_are_found(void **state)
{
    (void)state;
    struct memory_map map;
    struct explanation why;
    uint64_t at;
    assert_int_equal(build(16 * MIB, &map, NULL), STATUS_OK);
    struct room room = {.map = &map};
    struct room_wish wish = {MIB + 1, 2 * MIB, 0, UINT64_MAX};
    assert_int_equal(room_take_lowest(&room, &wish, "x", &at, &why), STATUS_OK);
    assert_int_equal(at, 2 * MIB);
    assert_int_equal(room_take_lowest(&room, &wish, "x", &at, &why), STATUS_OK);
    assert_int_equal(at, 4 * MIB);
    assert_int_equal(room_take_highest(&room, &wish, "x", &at, &why), STATUS_OK);
    assert_int_equal(at, 14 * MIB);
    wish.alignment = 4096;
    assert_int_equal(room_take_highest(&room, &wish, "x", &at, &why), STATUS_OK);
    assert_int_equal(at, 14 * MIB - MIB - 4096);
    wish.high = 14 * MIB - MIB - 4096 - 1;
    assert_int_equal(room_take_highest(&room, &wish, "x", &at, &why), STATUS_OK);
    assert_int_equal(at, 12 * MIB - 2 * 4096);
    wish = (struct room_wish){4096, 4096, 0x1000, 0x2000};
    assert_int_equal(room_take_highest(&room, &wish, "x", &at, &why), STATUS_OK);
    assert_int_equal(at, 0x1000);
    assert_int_equal(room_take_lowest(&room, &wish, "y", &at, &why), STATUS_NO_MEMORY);
    assert_string_equal(why.text,
                        "y: no free place for 4 KiB between 0x1000 and 0x2000; give the VM "
                        "more memory");
    wish = (struct room_wish){UINT64_MAX, 4096, 0, UINT64_MAX};
    assert_int_equal(room_take_highest(&room, &wish, "z", &at, &why), STATUS_NO_MEMORY);
    assert_int_equal(room_take_lowest(&room, &wish, "z", &at, &why), STATUS_NO_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_split_at_three_gib),
        cmocka_unit_test(a_large_vm_has_all_kinds_of_ranges),
        cmocka_unit_test(one_mib_is_the_least),
        cmocka_unit_test(adjacent_regions_become_one_range),
        cmocka_unit_test(claims_must_be_ram_and_not_overlap),
        cmocka_unit_test(the_lowest_and_the_highest_place_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
