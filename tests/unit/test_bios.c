// loaders/bios.c and loaders/mptable.c: what each format finds of a BIOS. (The guest bios.asm calls
// it.)

#include "tests/unit/loader_vm.h"

#include "drivers/virt/board.h"
#include "lib/bytes.h"

#define MIB UINT64_C(0x100000)

static struct board board;
static uint8_t sector[512];
static const struct image kernel = {"sector", sector, sizeof(sector), NULL};

static void no_kick(struct vcpu *vcpu) {}

static int begin(void **state)
{
    static const struct vm_host host = {.wall_clock = test_wall_clock, .kick = no_kick};
    test = test_vm_new(4 * MIB, 3);
    test->vm.host = &host;
    put16(sector + 510, 0xaa55);
    return 0;
}

static void load(enum boot_format boot)
{
    test->config.boot = boot;
    assert_int_equal(board_build(&board, &test->vm, &(struct board_parts){0}, &test->why),
                     STATUS_OK);
    assert_int_equal(loader_load(&test->vm, &test->config, &kernel, NULL, NULL, 0, &test->why),
                     STATUS_OK);
}

static uint32_t in(unsigned port)
{
    struct access access = {.offset = port, .size = 1};
    vm_port_access(&test->vm, &access);
    return (uint32_t)access.value;
}

static void the_data_area_describes_the_board(void **state)
{
    test->vm.traits.uart2 = true;
    load(BOOT_SECTOR);
    const uint8_t *data = test_ram(test, 0x400, 0x100);
    assert_int_equal(get32(data), 0x2f803f8);
    assert_int_equal(get32(data + 4), 0);
    assert_int_equal(get16(data + 0x0e), 0x9fc0);
    assert_int_equal(get16(data + 0x10), 0x0402);
    assert_int_equal(get16(data + 0x13), 639);
    assert_int_equal(get32(data + 0x6c), 0x1800b0 / 2); // noon
    assert_int_equal(*test_ram(test, 0x9fc00, 1), 1);
}

static void vectors_lead_to_the_rom(void **state)
{
    load(BOOT_SECTOR);
    for (unsigned i = 0; i < 256; i++) {
        uint32_t vector = test_ram32(test, i * 4);
        uint8_t first = *test_ram(test, (vector >> 16) * 16 + (vector & 0xffff), 1);
        assert_int_equal(vector >> 16, 0xf000);
        if (i < 8 || i >= 0x78 || (i > 0x1a && i < 0x70))
            assert_int_equal(first, 0xcf); // IRET
        else
            assert_int_not_equal(first, 0);
    }
    assert_int_equal(*test_ram(test, 0xffff0, 1), 0xea);
    assert_memory_equal(test_ram(test, 0xe0000, 8), "RSD PTR ", 8);
}

static void the_board_is_set_up_where_a_bios_is_implied(void **state)
{
    load(BOOT_SECTOR);
    assert_int_equal(board.pic.chip[0].vector_base, 0x08);
    assert_int_equal(board.pic.chip[1].vector_base, 0x70);
    assert_true(board.pic.chip[0].initialised && board.pic.chip[1].initialised);
    assert_int_equal(in(0x21), 0xfa);
    assert_int_equal(in(0xa1), 0xff);
    assert_int_equal(board.pit.channel[0].mode, 3);
    assert_int_equal(board.pit.channel[0].count, 65536);
    uint64_t due = atomic_load(&test->vm.deadlines.first);
    assert_in_range(due, 54900000, 54950000);
    vm_tick_devices(&test->vm, due);
    assert_true(vpic_pending(&board.pic));
    assert_int_equal(vpic_acknowledge(&board.pic), 8);
}

static uint8_t sum(uint64_t at, unsigned size)
{
    uint8_t total = 0;
    for (const uint8_t *byte = test_ram(test, at, size); size; size--)
        total = (uint8_t)(total + *byte++);
    return total;
}

static void mp_tables_say_what_there_is(void **state)
{
    load(BOOT_SECTOR);
    const uint8_t *pointer = test_ram(test, 0xf0000, 16);
    assert_memory_equal(pointer, "_MP_", 4);
    assert_int_equal(sum(0xf0000, 16), 0);
    uint32_t at = get32(pointer + 4);
    const uint8_t *table = test_ram(test, at, 44);
    assert_memory_equal(table, "PCMP", 4);
    assert_int_equal(sum(at, get16(table + 4)), 0);
    assert_int_equal(get32(table + 36), 0xfee00000);
    unsigned count[5] = {0}, entries = get16(table + 34);
    uint32_t pins = 0;
    const uint8_t *entry = table + 44;
    for (unsigned i = 0; i < entries; i++) {
        assert_in_range(entry[0], 0, 4);
        if (entry[0] == 0) {
            assert_int_equal(entry[1], count[0]);
            assert_int_equal(entry[3], count[0] ? 1 : 3); // the first one boots
        }
        if (entry[0] == 3 && entry[4] == 0) { // INTA of a PCI slot
            assert_int_equal(entry[7], entry[5] >> 3 & 1 ? 11 : 10);
            assert_int_equal(get16(entry + 2), 0xf);
            pins |= 1U << entry[7];
        } else if (entry[0] == 3) {
            assert_int_equal(entry[7], entry[5] ? entry[5] : 2);
            assert_int_equal(get16(entry + 2), entry[5] == 9 ? 0xd : 0);
            pins |= 1U << entry[7];
        }
        if (entry[0] == 4)
            assert_int_equal(entry[1], entry[7] ? 1 : 3); // NMI at LINT1, the 8259s at LINT0
        count[entry[0]]++;
        entry += entry[0] ? 8 : 20;
    }
    assert_ptr_equal(entry, table + get16(table + 4));
    assert_memory_equal(count, ((unsigned[5]){3, 2, 1, 13 + 31, 2}), sizeof(count));
    assert_int_equal(pins, 0xfffe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_data_area_describes_the_board, begin, end),
        cmocka_unit_test_setup_teardown(vectors_lead_to_the_rom, begin, end),
        cmocka_unit_test_setup_teardown(the_board_is_set_up_where_a_bios_is_implied, begin, end),
        cmocka_unit_test_setup_teardown(mp_tables_say_what_there_is, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
