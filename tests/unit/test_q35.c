// The board of a VM with firmware: what SeaBIOS and OVMF write into the Q35's two functions, and
// what follows of it.
#include "support.h"

#include "drivers/virt/board.h"
#include "vm/platform.h"

static struct vm vm;
static struct board board;
static uint8_t bytes[4096];
static const struct block disk = {
    .name = "disk", .sectors = sizeof(bytes) / BLOCK_SECTOR, .image = bytes};

static int fresh_board(void **state)
{
    static const struct board_parts parts = {.disk = {&disk, &disk}, .disk_count = 2};
    struct explanation why;
    memset(&vm, 0, sizeof(vm));
    vm.traits.memory = UINT64_C(4) << 30;
    vm.traits.firmware = FIRMWARE_SEABIOS;
    vm.vcpu_count = 2;
    assert_int_equal(board_build(&board, &vm, &parts, &why), STATUS_OK);
    return 0;
}

static void out(uint16_t port, uint8_t size, uint32_t value)
{
    vm_port_access(&vm,
                   &(struct access){.offset = port, .size = size, .value = value, .write = true});
}

static uint32_t in(uint16_t port, uint8_t size)
{
    struct access access = {.offset = port, .size = size};
    vm_port_access(&vm, &access);
    return (uint32_t)access.value;
}

static void select_register(unsigned slot, unsigned reg)
{
    out(PORT_PCI_ADDRESS, 4, 0x80000000 | slot << 11 | (reg & 0xfc));
}

static uint32_t read_pci(unsigned slot, unsigned reg, uint8_t size)
{
    select_register(slot, reg);
    return in((uint16_t)(PORT_PCI_DATA + (reg & 3)), size);
}

static void write_pci(unsigned slot, unsigned reg, uint8_t size, uint32_t value)
{
    select_register(slot, reg);
    out((uint16_t)(PORT_PCI_DATA + (reg & 3)), size, value);
}

static void firmware_finds_a_q35(void **state)
{
    assert_int_equal(read_pci(0, 0, 4), 0x29c08086);
    assert_int_equal(read_pci(0, 10, 2), 0x0600);
    assert_int_equal(read_pci(31, 0, 4), 0x29188086);
    assert_int_equal(read_pci(31, 10, 2), 0x0601);
    assert_int_equal(read_pci(31, 14, 1), 0); // one function
    assert_int_equal(read_pci(3, 0, 4), 0xffffffff);
    // some function has a capability of PCI Express
    unsigned at = read_pci(0, 0x34, 1);
    assert_true(read_pci(0, 6, 2) & 0x10);
    assert_int_equal(read_pci(0, at, 2), 0x0010);
}

static void registers_hold_what_firmware_writes(void **state)
{
    static const struct {
        unsigned slot, reg, size;
        uint32_t value, expected;
    } writes[] = {
        {0, 0x04, 2, 0x0103, 0x0103},
        {0, 0x10, 4, 0xffffffff, 0},
        {0, 0x30, 4, 0xffffffff, 0},
        {0, 0x3c, 2, 0xff0b, 0x000b},
        {0, 0x90, 1, 0x30, 0x30},
        {0, 0x91, 1, 0x33, 0x33},
        {0, 0x96, 1, 0xff, 0x33},
        {0, 0x97, 1, 0xff, 0},
        {31, 0x04, 2, 0x0007, 0x0007},
        {31, 0x40, 4, 0x0601, 0x0601},
        {31, 0x40, 4, 0xffffffff, 0xff81},
        {31, 0x44, 1, 0x80, 0x80},
        {31, 0x60, 4, 0x0b0b0a0a, 0x0b0b0a0a},
        {31, 0x68, 1, 0xff, 0x8f},
        {31, 0xf0, 4, 0xfed1c001, 0xfed1c001},
        {31, 0x10, 4, 0xffffffff, 0},
    };
    assert_int_equal(read_pci(31, 0x40, 4), 1);
    assert_int_equal(read_pci(31, 0x60, 4), 0x80808080);
    assert_int_equal(read_pci(31, 0x44, 1), 0); // else OVMF leaves these two alone
    for (unsigned i = 0; i < ARRAY_LENGTH(writes); i++) {
        write_pci(writes[i].slot, writes[i].reg, (uint8_t)writes[i].size, writes[i].value);
        assert_int_equal(read_pci(writes[i].slot, writes[i].reg, (uint8_t)writes[i].size),
                         writes[i].expected);
    }
}

static uint32_t read_memory(uint64_t at)
{
    struct access access = {.offset = at, .size = 4};
    (void)bus_access(&vm.mmio, &access);
    return (uint32_t)access.value;
}

static void the_ecam_is_where_pciexbar_says(void **state)
{
    assert_int_equal(read_memory(0xb0000000), 0xffffffff);
    assert_int_equal(read_memory(PCI_ECAM), 0xffffffff);
    write_pci(0, 0x60, 4, 0);
    write_pci(0, 0x64, 4, 0);
    write_pci(0, 0x60, 4, 0xb0000001);
    assert_int_equal(read_memory(0xb0000000), 0x29c08086);
    assert_int_equal(read_memory(0xb0000000 + (31 << 15)), 0x29188086);
    assert_int_equal(read_memory(0xb0000000 + (31 << 15) + (1 << 12)), 0xffffffff);
    assert_int_equal(read_memory(0xb0000000 + (1 << 20)), 0xffffffff); // another bus
    assert_int_equal(read_memory(0xbffffffc), 0xffffffff);
    // it goes by itself; and elsewhere it would be in others' way
    struct access away = {.offset = 0xb0000060, .size = 4, .write = true};
    assert_true(bus_access(&vm.mmio, &away));
    assert_int_equal(read_memory(0xb0000000), 0xffffffff);
    static const uint32_t nowhere[] = {0xb0000000, 0xb0000003, 0xd0000001,
                                       0xa0000001, 0x00000001, 0xf0000001};
    for (unsigned i = 0; i < ARRAY_LENGTH(nowhere); i++) {
        write_pci(0, 0x60, 4, nowhere[i]);
        assert_int_equal(board.pci.ecam, 0);
        assert_int_equal(read_memory(nowhere[i] & 0xf0000000), 0xffffffff);
    }
    write_pci(0, 0x64, 4, 1);
    write_pci(0, 0x60, 4, 0xb0000001);
    assert_int_equal(board.pci.ecam, 0); // above 4 GiB
}

static void a_loaded_ecam_is_there(void **state)
{
    static uint8_t saved[128 << 10];
    struct explanation why;
    write_pci(0, 0x60, 4, 0xb0000001);
    size_t length = board_save(&vm, saved, sizeof(saved));
    fresh_board(state);
    assert_int_equal(board_load(&vm, saved, length, &why), STATUS_OK);
    assert_int_equal(read_memory(0xb0000000), 0x29c08086);
}

static void firmware_places_the_regions(void **state)
{
    assert_int_equal(read_pci(4, 0, 4), 0x10421af4);
    assert_int_equal(read_pci(4, 4, 2), 0);
    assert_int_equal(read_pci(4, 0x3c, 2), 0x0100); // pin A, on a line that firmware chooses
    for (unsigned reg = 0x10; reg < 0x28; reg += 4)
        assert_in_range(read_pci(4, reg, 4), 0, 1);
    write_pci(4, 0x10, 4, 0xffffffff);
    assert_int_equal(read_pci(4, 0x10, 4), 0xffffc000);
    write_pci(4, 0x10, 4, 0xfebfc000); // as SeaBIOS does it, from the top
    write_pci(4, 4, 2, 7);
    assert_int_not_equal(read_memory(0xfebfc000), 0xffffffff);
    write_pci(4, 0x18, 4, 0x6001); // as OVMF does it, from below
    assert_int_equal(board.disk[0].virtio.function.placed[2], 0x6000);
}

static void disks_are_booted_in_their_order(void **state)
{
    static const char order[] = "/pci@i0cf8/scsi@4/disk@0,0\n/pci@i0cf8/scsi@5/disk@0,0";
    assert_int_equal(board.boot_order_size, sizeof(order));
    assert_string_equal(board.boot_order, order);
}

static void memory_ends_below_the_ecam(void **state)
{
    static const struct {
        uint8_t at, value;
    } memory[] = {{0x34, 0x00}, {0x35, 0xaf}, {0x5b, 0x00}, {0x5c, 0x50}, {0x5d, 0}, {0x5f, 1}};
    for (unsigned i = 0; i < ARRAY_LENGTH(memory); i++)
        assert_int_equal(board.rtc.memory[memory[i].at], memory[i].value);
}

static void there_is_no_smm_to_set_up(void **state)
{
    assert_true(in(0x630, 4) & 0x20);
    assert_int_equal(in(0xb2, 1), 0xff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(firmware_finds_a_q35, fresh_board),
        cmocka_unit_test_setup(registers_hold_what_firmware_writes, fresh_board),
        cmocka_unit_test_setup(the_ecam_is_where_pciexbar_says, fresh_board),
        cmocka_unit_test_setup(a_loaded_ecam_is_there, fresh_board),
        cmocka_unit_test_setup(firmware_places_the_regions, fresh_board),
        cmocka_unit_test_setup(disks_are_booted_in_their_order, fresh_board),
        cmocka_unit_test_setup(memory_ends_below_the_ecam, fresh_board),
        cmocka_unit_test_setup(there_is_no_smm_to_set_up, fresh_board),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
