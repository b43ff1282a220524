// drivers/virt/pci/vmsi.c: the capability that a driver finds, its messages, masks and pending
// bits; on the PCI test function.
#include "tests/unit/apics.h"

#include "drivers/virt/pci/vpci.h"
#include "drivers/virt/pci/vpcitest.h"
#include "vm/platform.h"

#define SLOT    2
#define CONTROL 0
#define LOW     4
#define HIGH    8
#define DATA    12
#define MASK    16
#define PENDING 20

static struct vpci pci;
static struct vpcitest test;
static unsigned capability;

static uint32_t config(unsigned at, uint8_t size, bool write, uint32_t value)
{
    struct access access = {
        .offset = PCI_ECAM + (SLOT << 15) + at, .size = size, .write = write, .value = value};
    assert_true(vdev_access(&pci.device, &access));
    return (uint32_t)access.value;
}

static uint32_t get(unsigned at)
{
    return config(capability + at, 4, false, 0);
}

static void set(unsigned at, uint32_t value)
{
    config(capability + at, 4, true, value);
}

static void set_control(uint16_t value)
{
    config(capability + 2, 2, true, value);
}

static void send(unsigned message)
{
    struct access access = {.offset = VPCITEST_MESSAGE, .size = 1, .write = true, .value = message};
    assert_true(vdev_access(&test.device, &access));
}

static int fresh(void **state)
{
    struct explanation why;
    enabled_vm(state);
    memset(&pci, 0, sizeof(pci));
    memset(&test, 0, sizeof(test));
    vm.ports.name = "ports";
    vm.mmio.name = "MMIO";
    vm_plug(&vm, &pci.device, &vpci_class);
    vm_plug(&vm, &test.device, &vpcitest_class);
    assert_int_equal(vpci_add(&pci, SLOT, &test.function, &why), STATUS_OK);
    capability = config(0x34, 1, false, 0);
    set(LOW, MSI_ADDRESS | 1 << 12); // to the second
    set(HIGH, 0);
    set(DATA, 0x50);
    return 0;
}

static void a_driver_finds_what_there_is(void **state)
{
    (void)state;
    assert_int_equal(get(CONTROL), 0x01840005); // masks, 64 bits, 4 messages, off; the last one
    set(CONTROL, ~0U);
    set(MASK, ~0U);
    set(PENDING, ~0U);
    set(HIGH, 0x12345678);
    set(LOW, ~0U);
    set(DATA, ~0U);
    assert_int_equal(get(CONTROL), 0x01f50005);
    assert_int_equal(get(MASK), 0xf);
    assert_int_equal(get(PENDING), 0);
    assert_int_equal(get(HIGH), 0x12345678);
    assert_int_equal(get(LOW), 0xfffffffc);
    assert_int_equal(get(DATA), 0xffff);
}

static void off_it_sends_nothing(void **state)
{
    (void)state;
    send(0);
    assert_int_equal(get(PENDING), 0);
    set_control(1);
    assert_int_equal(receivers(0x50), 0);
    send(0);
    assert_int_equal(receivers(0x50), 2);
}

// The low bits of the data are the message's number, as far as so many were granted.
static void messages_are_as_many_as_were_granted(void **state)
{
    (void)state;
    set(DATA, 0x53);
    for (unsigned granted = 0; granted < 8; granted++) {
        unsigned count = 1U << MIN(granted, 2);
        set_control((uint16_t)(granted << 4 | 1));
        for (unsigned message = 0; message < 9; message++) {
            send(message);
            assert_int_equal(receivers((0x53 & ~(count - 1)) | (message & (count - 1))), 2);
        }
    }
}

static void a_mask_holds_messages_back(void **state)
{
    (void)state;
    set_control(2 << 4 | 1);
    set(MASK, 0xa);
    for (unsigned i = 0; i < 4; i++) {
        send(i);
        assert_int_equal(receivers(0x50 + i), i % 2 ? 0 : 2);
    }
    send(1); // once more is still one
    assert_int_equal(receivers(0x51), 0);
    assert_int_equal(get(PENDING), 0xa);
    assert_int_equal(config(capability + PENDING, 1, false, 0), 0xa);
    set(MASK, 0x8);
    assert_int_equal(receivers(0x51), 2);
    assert_int_equal(receivers(0x53), 0);
    assert_int_equal(get(PENDING), 8);
    set_control(0);
    set(MASK, 0);
    set_control(1);
    assert_int_equal(receivers(0x53), 0); // it was forgotten when all was off
    assert_int_equal(get(PENDING), 0);
}

static void the_upper_address_is_no_interrupts(void **state)
{
    (void)state;
    set_control(1);
    set(HIGH, 1);
    send(0);
    assert_int_equal(receivers(0x50), 0);
}

static void what_waits_is_saved(void **state)
{
    (void)state;
    static uint8_t saved[16 << 10];
    struct explanation why;
    set_control(2 << 4 | 1);
    set(MASK, 4);
    send(2);
    size_t length = vdev_save(&test.device, saved, sizeof(saved));
    set(MASK, 0);
    assert_int_equal(receivers(0x52), 2);
    struct section_input input = {saved, length};
    assert_int_equal(vdev_load(&test.device, &input, true, &why), STATUS_OK);
    vdev_loaded(&test.device);
    assert_int_equal(get(PENDING), 4);
    assert_int_equal(get(MASK), 4);
    set(MASK, 0);
    assert_int_equal(receivers(0x52), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_driver_finds_what_there_is, fresh),
        cmocka_unit_test_setup(off_it_sends_nothing, fresh),
        cmocka_unit_test_setup(messages_are_as_many_as_were_granted, fresh),
        cmocka_unit_test_setup(a_mask_holds_messages_back, fresh),
        cmocka_unit_test_setup(the_upper_address_is_no_interrupts, fresh),
        cmocka_unit_test_setup(what_waits_is_saved, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
