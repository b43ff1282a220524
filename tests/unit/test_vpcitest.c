// drivers/virt/pci/vpcitest.c: what a driver of QEMU's pci-testdev finds. tests/guests/testdev.c
// asks QEMU's own the same.
#include "support.h"

#include "drivers/virt/pci/vpcitest.h"
#include "vm/vm.h"

static struct vm vm;
static struct vpcitest test;

static int fresh(void **state)
{
    vm_plug(&vm, &test.device, &vpcitest_class);
    return 0;
}

static uint32_t in(unsigned region, uint32_t offset, uint8_t size)
{
    struct access access = {.offset = (uint64_t)region << 32 | offset, .size = size};
    assert_true(vdev_access(&test.device, &access));
    assert_true(access.value <= size_mask(size));
    return (uint32_t)access.value;
}

static void out(unsigned region, uint32_t offset, uint8_t size, uint32_t value)
{
    struct access access = {
        .offset = (uint64_t)region << 32 | offset, .size = size, .write = true, .value = value};
    assert_true(vdev_access(&test.device, &access));
}

static void headers_describe_the_tests(void **state)
{
    static const struct {
        uint32_t offset;
        uint8_t data;
        const char *name;
    } expected[2][3] = {{{2048, 0xfa, "mmio-no-eventfd"},
                         {2049, 0xce, "mmio-wildcard-eventfd"},
                         {2050, 0xfa, "mmio-datamatch-eventfd"}},
                        {{131, 0xfa, "portio-no-eventfd"},
                         {132, 0xce, "portio-wildcard-eventfd"},
                         {133, 0xfa, "portio-datamatch-eventfd"}}};
    for (unsigned region = 0; region < 2; region++)
        for (unsigned i = 0; i < 3; i++) {
            out(region, 0, 1, i);
            assert_int_equal(in(region, 0, 1), region * 3 + i);
            assert_int_equal(in(region, 0, 4), 0x100 | (region * 3 + i));
            assert_int_equal(in(1 - region, 4, 4), expected[region][i].offset);
            assert_int_equal(in(region, 8, 4), expected[region][i].data);
            assert_int_equal(in(region, 12, 4), 0);
            for (unsigned at = 0; at <= strlen(expected[region][i].name); at++)
                assert_int_equal(in(region, 16 + at, 1), expected[region][i].name[at]);
        }
}

static void matching_writes_count(void **state)
{
    static const struct {
        unsigned region, kind;
        uint32_t offset;
        uint8_t size;
        uint32_t value, count;
    } writes[] = {
        {0, 0, 2048, 1, 0xfa, 1},
        {0, 0, 2048, 1, 0xfb, 0},
        {0, 0, 2047, 1, 0xfa, 0},
        {0, 0, 2047, 2, 0xfa00, 1},
        {0, 0, 2048, 4, 0xfa, 1},
        {0, 1, 2049, 1, 0xce, 0},
        {0, 2, 2050, 1, 0xfa, 0},
        {1, 0, 131, 1, 0xfa, 1},
        {1, 1, 132, 1, 0xce, 0},
        {0, 3, 2048, 1, 0xfa, 0},
        {1, 255, 131, 1, 0xfa, 0},
        {0, 0, 4095, 1, 0xfa, 0},
        {0, 0, 0xfffffffe, 4, 0xfafafafa, 0},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(writes); i++) {
        fresh(state);
        out(writes[i].region, 0, 1, writes[i].kind);
        out(writes[i].region, writes[i].offset, writes[i].size, writes[i].value);
        out(writes[i].region, writes[i].offset, writes[i].size, writes[i].value);
        assert_int_equal(in(writes[i].region, 12, 4), 2 * writes[i].count);
    }
}

static void no_test_is_chosen_at_first(void **state)
{
    for (uint32_t at = 0; at < 4096; at++)
        assert_int_equal(in(0, at, 1), 0);
    out(0, 2048, 1, 0xfa);
    assert_int_equal(in(0, 12, 4), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(headers_describe_the_tests, fresh),
        cmocka_unit_test_setup(matching_writes_count, fresh),
        cmocka_unit_test_setup(no_test_is_chosen_at_first, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
