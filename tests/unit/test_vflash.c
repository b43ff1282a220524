// drivers/virt/legacy/vflash.c: commands, status, and what the guest reads meanwhile.
#include "support.h"

#include "drivers/virt/legacy/vflash.h"
#include "vm/vm.h"

#define START UINT64_C(0xffc00000)
#define CHIP  UINT64_C(0x3000)
#define SIZE  UINT64_C(0x5000)

static struct vm vm;
static struct gmem rom;
static struct gmem_piece pieces[1];
static uint8_t bytes[SIZE];
static _Atomic uint64_t dirty[8];
static struct vflash flash;
static unsigned hides;

static void count_hides(struct vm *from)
{
    assert_ptr_equal(from, &vm);
    assert_int_equal(vm.memory.rom.hidden, CHIP);
    hides++;
}

static int fresh(void **state)
{
    static const struct vm_host host = {.memory_hide = count_hides};
    memset(bytes, 0xff, sizeof(bytes));
    memset((void *)dirty, 0, sizeof(dirty));
    memset(pieces, 0, sizeof(pieces));
    memset(&vm, 0, sizeof(vm));
    gmem_init(&rom, pieces, 1);
    gmem_add(&rom, gpa(0), bytes, SIZE);
    rom.dirty = dirty;
    vm.host = &host;
    vm.memory.rom.memory = &rom;
    vm.memory.rom.start = gpa(START);
    vm.memory.rom.size = SIZE;
    vm_plug(&vm, &flash.device, &vflash_class);
    flash.size = CHIP;
    hides = 0;
    return 0;
}

static void write_at(uint64_t offset, uint8_t value)
{
    struct access access = {.offset = offset, .size = 1, .value = value, .write = true};
    assert_true(vdev_access(&flash.device, &access));
}

static uint64_t read_at(uint64_t offset)
{
    struct access access = {.offset = offset, .size = 1};
    assert_true(vdev_access(&flash.device, &access));
    return access.value;
}

static bool is_shown(uint64_t offset)
{
    return gmem_at(&vm.memory, gpa(START + offset), 1) == &bytes[offset];
}

static void program(uint64_t offset, uint8_t value)
{
    write_at(offset, 0x10);
    write_at(offset, value);
}

static void bytes_are_programmed_and_blocks_erased(void **state)
{
    program(0x1001, 0xa5);
    program(0x1fff, 0x00);
    program(0x2000, 0x33);
    write_at(0, 0x40);
    write_at(0, 0x77);
    assert_int_equal(bytes[0x1001], 0xa5);
    assert_int_equal(bytes[0x1fff], 0);
    assert_int_equal(bytes[0], 0x77);
    program(0x1001, 0x5f); // no bit becomes one
    assert_int_equal(bytes[0x1001], 0x05);
    assert_int_equal(dirty[0], 7);
    dirty[0] = 0;
    write_at(0x1234, 0x20);
    assert_int_equal(bytes[0x1001], 0x05);
    write_at(0x1234, 0xd0);
    assert_int_equal(bytes[0x1001], 0xff);
    assert_int_equal(bytes[0x1fff], 0xff);
    assert_int_equal(bytes[0x2000], 0x33);
    assert_int_equal(bytes[0], 0x77);
    assert_int_equal(dirty[0], 2);
}

// Between commands the guest reads the bytes without us.
static void a_command_hides_the_bytes(void **state)
{
    assert_true(is_shown(0));
    assert_int_equal(read_at(0), 0xff);
    write_at(0x2fff, 0x10);
    assert_int_equal(hides, 1);
    assert_false(is_shown(0));
    assert_false(is_shown(CHIP - 1));
    assert_true(is_shown(CHIP));
    write_at(0x2fff, 0x00); // the byte: as a command it would show them
    assert_false(is_shown(0));
    assert_int_equal(read_at(0), 0x80);
    program(0x2ffe, 0xff);
    assert_false(is_shown(0));
    write_at(0x2fff, 0xff);
    assert_true(is_shown(0));
    assert_true(is_shown(CHIP - 1));
    assert_int_equal(read_at(0x2fff), 0);
    assert_int_equal(hides, 1);
    write_at(0, 0x20);
    write_at(0, 0xff); // not confirmed
    assert_true(is_shown(0));
    assert_int_equal(bytes[0x2fff], 0);
}

// As OVMF tells a chip from RAM and ROM.
static void the_probe_finds_a_chip(void **state)
{
    write_at(0x10, 0x50);
    assert_int_equal(read_at(0x10), 0xff);
    write_at(0x10, 0x70);
    assert_int_equal(read_at(0x10), 0);
    write_at(0x10, 0xff);
    program(0x10, 1);
    write_at(0x10, 0x70);
    assert_int_equal(read_at(0x20), 0x80);
}

static void a_wrong_sequence_is_told(void **state)
{
    program(0, 0x42);
    write_at(0, 0x20);
    write_at(0, 0x10);
    assert_int_equal(read_at(0), 0xb0);
    assert_int_equal(bytes[0], 0x42);
    program(1, 0);
    assert_int_equal(read_at(0), 0xb0); // until it is cleared
    write_at(0, 0x50);
    write_at(0, 0x70);
    assert_int_equal(read_at(0), 0);
    write_at(0, 0xe8); // commands that it does not have
    assert_true(is_shown(0));
}

static void code_is_only_read(void **state)
{
    bytes[CHIP] = 0x90;
    program(CHIP, 0x00);
    write_at(CHIP, 0x20);
    write_at(CHIP, 0xd0);
    assert_int_equal(bytes[CHIP], 0x90);
    assert_int_equal(hides, 0);
    assert_int_equal(read_at(CHIP), 0x90);
    write_at(0, 0x70);
    assert_int_equal(read_at(CHIP), 0x90);
}

static void a_state_under_way_goes_on(void **state)
{
    uint8_t saved[256];
    struct explanation why;
    write_at(5, 0x10);
    size_t length = vdev_save(&flash.device, saved, sizeof(saved));
    fresh(NULL);
    struct section_input input = {saved, length};
    assert_int_equal(vdev_load(&flash.device, &input, true, &why), STATUS_OK);
    vdev_loaded(&flash.device);
    assert_int_equal(hides, 1);
    assert_false(is_shown(5));
    write_at(5, 0x5a);
    assert_int_equal(bytes[5], 0x5a);
    vdev_reset(&flash.device);
    assert_true(is_shown(5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(bytes_are_programmed_and_blocks_erased, fresh),
        cmocka_unit_test_setup(a_command_hides_the_bytes, fresh),
        cmocka_unit_test_setup(the_probe_finds_a_chip, fresh),
        cmocka_unit_test_setup(a_wrong_sequence_is_told, fresh),
        cmocka_unit_test_setup(code_is_only_read, fresh),
        cmocka_unit_test_setup(a_state_under_way_goes_on, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
