#include "support.h"

#include "drivers/virt/vfwcfg.h"
#include "vm/vm.h"

static struct vm vm;
static struct vfwcfg fwcfg;

static int fresh_fwcfg(void **state)
{
    (void)state;
    vm.config.memory = 0x123456000;
    vm.vcpu_count = 3;
    vfwcfg_init(&fwcfg, &vm);
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
    (void)state;
    expect_bytes(0x00, "QEMU\0\0", 6); // and zeros beyond the end
    expect_bytes(0x01, "\1\0\0\0", 4);
    expect_bytes(0x03, "\x00\x60\x45\x23\x01\0\0\0", 8);
    expect_bytes(0x05, "\3\0", 2);
    expect_bytes(0x0f, "\3\0", 2);
    expect_bytes(0x77, "\0\0", 2);
    expect_bytes(0x20, "\0\0", 2);
    expect_bytes(0xffff, "\0\0", 2);
}

static void files_are_found_by_the_directory(void **state)
{
    (void)state;
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
    (void)state;
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
    (void)state;
    struct access access = {.offset = 0, .size = 2};
    assert_false(vdev_access(&fwcfg.device, &access));
    access = (struct access){.offset = 0, .size = 1, .write = true};
    assert_false(vdev_access(&fwcfg.device, &access));
    access = (struct access){.offset = 1, .size = 1, .write = true};
    assert_false(vdev_access(&fwcfg.device, &access));
    assert_int_equal(next_byte(), 'Q'); // what is selected at first
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(numbers, fresh_fwcfg),
        cmocka_unit_test_setup(files_are_found_by_the_directory, fresh_fwcfg),
        cmocka_unit_test_setup(limits_are_explained, fresh_fwcfg),
        cmocka_unit_test_setup(other_accesses_are_not_answered, fresh_fwcfg),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
