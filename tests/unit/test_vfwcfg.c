#include "support.h"

#include "drivers/virt/legacy/vfwcfg.h"
#include "vm/vm.h"

static struct vm vm;
static struct vcpu vcpu;
static struct vfwcfg fwcfg;
static struct gmem_piece piece;
static uint8_t ram[1 << 20];

static void kick(struct vcpu *kicked)
{
    (void)kicked;
}

static int fresh_fwcfg(void **state)
{
    static const struct vm_host host = {.kick = kick};
    memset(ram, 0x5a, sizeof(ram));
    gmem_init(&vm.memory, &piece, 1);
    gmem_add(&vm.memory, gpa(0), ram, sizeof(ram));
    vm.deadlines = (struct deadlines){.first = NEVER};
    vm.host = &host;
    vm.vcpu[0] = &vcpu;
    vcpu.vm = &vm;
    vm.traits.memory = 0x123456000;
    vm.vcpu_count = 3;
    vm_plug(&vm, &fwcfg.device, &vfwcfg_class);
    return 0;
}

static bool select_key(uint16_t key)
{
    struct access access = {.offset = 0, .size = 2, .write = true, .value = key};
    return vdev_access(&fwcfg.device, &access);
}

static uint8_t next_byte(void)
{
    struct access access = {.offset = 1, .size = 1};
    assert_true(vdev_access(&fwcfg.device, &access));
    return (uint8_t)access.value;
}

static void expect_bytes(uint16_t key, const void *bytes, size_t size)
{
    assert_true(select_key(key));
    for (size_t i = 0; i < size; i++)
        assert_int_equal(next_byte(), ((const uint8_t *)bytes)[i]);
}

static void numbers(void **state)
{
    expect_bytes(0x00, "QEMU\0\0", 6); // and zeros beyond the end
    expect_bytes(0x01, "\3\0\0\0", 4);
    expect_bytes(0x03, "\x00\x60\x45\x23\x01\0\0\0", 8);
    expect_bytes(0x04, "\1\0", 2); // no screen: the firmware speaks on COM1
    expect_bytes(0x05, "\3\0", 2);
    expect_bytes(0x0f, "\3\0", 2);
    expect_bytes(0x0e, "\0\0", 2); // no menu
    expect_bytes(0x77, "\0\0", 2);
    expect_bytes(0x8002, "\1", 1);
    expect_bytes(0x20, "\0\0", 2);
    expect_bytes(0xffff, "\0\0", 2);
}

static void files_are_found_by_the_directory(void **state)
{
    struct explanation why;
    assert_int_equal(vfwcfg_add_file(&fwcfg, "opt/one", "abc", 3, &why), STATUS_OK);
    assert_int_equal(vfwcfg_add_file(&fwcfg, "opt/two", "", 0, &why), STATUS_OK);
    uint8_t expected[4 + 2 * 64] = {0, 0, 0, 2, 0, 0, 0, 3, 0, 0x20};
    memcpy(expected + 12, "opt/one", 7);
    expected[4 + 64 + 5] = 0x21;
    memcpy(expected + 4 + 64 + 8, "opt/two", 7);
    expect_bytes(0x19, expected, sizeof(expected));
    expect_bytes(0x20, "abc\0", 4);
    expect_bytes(0x21, "\0", 1);
}

static void limits_are_explained(void **state)
{
    struct explanation why;
    char name[57] = {0};
    memset(name, 'n', 56);
    assert_int_equal(vfwcfg_add_file(&fwcfg, name, "", 0, &why), STATUS_RANGE);
    name[55] = 0;
    for (unsigned i = 0; i < VFWCFG_FILES; i++)
        assert_int_equal(vfwcfg_add_file(&fwcfg, name, "", 0, &why), STATUS_OK);
    assert_int_equal(vfwcfg_add_file(&fwcfg, name, "", 0, &why), STATUS_FULL);
}

static void other_accesses_are_not_answered(void **state)
{
    struct access access = {.offset = 0, .size = 2};
    assert_false(vdev_access(&fwcfg.device, &access));
    access = (struct access){.offset = 0, .size = 1, .write = true};
    assert_false(vdev_access(&fwcfg.device, &access));
    access = (struct access){.offset = 1, .size = 1, .write = true};
    assert_false(vdev_access(&fwcfg.device, &access));
    assert_int_equal(next_byte(), 'Q'); // what is selected at first
}

// ---- DMA ----

#define COMMAND_AT 0x1000

static bool write_port(uint64_t offset, uint8_t size, uint64_t value)
{
    struct access access = {.offset = offset, .size = size, .write = true, .value = value};
    return vdev_access(&fwcfg.device, &access);
}

static void put_command(uint64_t at, uint32_t control, uint32_t length, uint64_t address)
{
    control = __builtin_bswap32(control);
    length = __builtin_bswap32(length);
    address = __builtin_bswap64(address);
    memcpy(ram + at, &control, 4);
    memcpy(ram + at + 4, &length, 4);
    memcpy(ram + at + 8, &address, 8);
}

static uint32_t result_of(uint64_t at)
{
    uint32_t result;
    memcpy(&result, ram + at, 4);
    return __builtin_bswap32(result);
}

static uint32_t transfer(uint32_t control, uint32_t length, uint64_t address)
{
    put_command(COMMAND_AT, control, length, address);
    assert_true(write_port(4, 4, 0));
    assert_true(write_port(8, 4, __builtin_bswap32(COMMAND_AT)));
    return result_of(COMMAND_AT);
}

static void dma_is_announced(void **state)
{
    static const char signature[] = "QEMU CFG";
    for (uint8_t size = 1; size <= 4; size *= 2)
        for (unsigned at = 0; at < 8; at += size) {
            struct access access = {.offset = 4 + at, .size = size};
            assert_true(vdev_access(&fwcfg.device, &access));
            assert_memory_equal(&access.value, signature + at, size);
            assert_int_equal(access.value & ~size_mask(size), 0);
        }
    struct access access = {.offset = 12, .size = 1};
    assert_false(vdev_access(&fwcfg.device, &access));
}

static void dma_reads_and_skips(void **state)
{
    struct explanation why;
    assert_int_equal(vfwcfg_add_file(&fwcfg, "opt/one", "0123456789", 10, &why), STATUS_OK);
    assert_int_equal(transfer(0x0020000a, 4, 0x2000), 0); // select and read
    assert_memory_equal(ram + 0x2000, "0123\x5a", 5);
    assert_int_equal(transfer(4, 2, 0), 0); // skip
    assert_int_equal(transfer(2, 2, 0x2000), 0);
    assert_memory_equal(ram + 0x2000, "6723\x5a", 5);
    assert_int_equal(transfer(2, 4, 0x2000), 0);
    assert_memory_equal(ram + 0x2000, "89\0\0\x5a", 5); // zeros behind the end
    assert_int_equal(transfer(0x0020000c, 0xffffffff, 0), 0);
    assert_int_equal(next_byte(), 0);
    assert_int_equal(transfer(4, 2, 0), 0);
    assert_int_equal(next_byte(), 0); // it does not begin anew
    fwcfg.position = UINT32_MAX;      // as a state may have it
    assert_int_equal(transfer(2, 2, 0x2000), 0);
    assert_int_equal(next_byte(), 0);
    assert_int_equal(transfer(0x00200008, 0, 0), 0); // select alone
    assert_int_equal(next_byte(), '0');
}

static void what_dma_cannot_do_is_an_error(void **state)
{
    assert_int_equal(transfer(0x00000018, 4, 0x2000), 1); // write
    assert_int_equal(transfer(0x0000000a, 4, sizeof(ram)), 1);
    assert_int_equal(transfer(0x0000000a, 4, sizeof(ram) - 3), 1);
    assert_int_equal(transfer(0x0000000a, 4, UINT64_MAX - 1), 1);
    assert_int_equal(transfer(0x0000000a, 4, 0x2000), 0); // and it goes on
    // a descriptor that is not in RAM; one that is half in it
    for (uint32_t at = sizeof(ram) - 12; at <= sizeof(ram); at += 12)
        assert_true(write_port(8, 4, __builtin_bswap32(at)));
    assert_int_equal(fwcfg.dma.left, 0);
    assert_false(write_port(8, 2, 0));
    assert_false(write_port(4, 1, 0));
    write_port(4, 4, __builtin_bswap32(1)); // above 4 GiB
    put_command(COMMAND_AT, 2, 4, 0x2000);
    write_port(8, 4, __builtin_bswap32(COMMAND_AT));
    assert_int_equal(result_of(COMMAND_AT), 2);                   // untouched
    assert_true(write_port(8, 4, __builtin_bswap32(COMMAND_AT))); // which holds for one command
    assert_int_equal(result_of(COMMAND_AT), 0);
}

static void a_long_transfer_is_done_in_pieces(void **state)
{
    uint32_t length = 3 * VFWCFG_PIECE - 5;
    assert_int_equal(transfer(0x0000000a, length, 0x2000), 0x0000000a); // under way
    assert_memory_equal(ram + 0x2000, "QEMU", 4);
    uint32_t filled = VFWCFG_PIECE;
    assert_int_equal(ram[0x2000 + filled - 1], 0);
    assert_int_equal(ram[0x2000 + filled], 0x5a);
    put_command(0x1800, 0x0000000a, 4, 0x1900); // another one meanwhile is not begun
    assert_true(write_port(8, 4, __builtin_bswap32(0x1800)));
    assert_int_equal(ram[0x1900], 0x5a);
    for (uint64_t now = 1; vm.deadlines.first != NEVER; now++) {
        assert_in_range(now, 1, 3);
        assert_int_equal(result_of(COMMAND_AT), 0x0000000a);
        vm_tick_devices(&vm, vm.deadlines.first);
    }
    assert_int_equal(result_of(COMMAND_AT), 0);
    assert_int_equal(ram[0x2000 + length - 1], 0);
    assert_int_equal(ram[0x2000 + length], 0x5a);
}

static void a_loaded_transfer_goes_on(void **state)
{
    static uint8_t saved[4096];
    transfer(0x0000000a, VFWCFG_PIECE + 1, 0x2000);
    size_t length = vdev_save(&fwcfg.device, saved, sizeof(saved));
    vm_plug(&vm, &fwcfg.device, &vfwcfg_class);
    struct section_input input = {saved, length};
    assert_int_equal(vdev_load(&fwcfg.device, &input, true, NULL), STATUS_OK);
    vdev_loaded(&fwcfg.device);
    vm_tick_devices(&vm, 5);
    assert_int_equal(result_of(COMMAND_AT), 0);
    assert_int_equal(ram[0x2000 + VFWCFG_PIECE], 0);
    assert_int_equal(ram[0x2000 + VFWCFG_PIECE + 1], 0x5a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(numbers, fresh_fwcfg),
        cmocka_unit_test_setup(files_are_found_by_the_directory, fresh_fwcfg),
        cmocka_unit_test_setup(limits_are_explained, fresh_fwcfg),
        cmocka_unit_test_setup(other_accesses_are_not_answered, fresh_fwcfg),
        cmocka_unit_test_setup(dma_is_announced, fresh_fwcfg),
        cmocka_unit_test_setup(dma_reads_and_skips, fresh_fwcfg),
        cmocka_unit_test_setup(what_dma_cannot_do_is_an_error, fresh_fwcfg),
        cmocka_unit_test_setup(a_long_transfer_is_done_in_pieces, fresh_fwcfg),
        cmocka_unit_test_setup(a_loaded_transfer_goes_on, fresh_fwcfg),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
