#include "support.h"

#include "drivers/virt/legacy/vi8042.h"
#include "vm/vm.h"

static struct vm vm;
static struct vi8042 controller;
static bool irq[13];

static void see_irq(void *unused, unsigned input, bool level)
{
    irq[input] = level;
}

static int fresh_controller(void **state)
{
    vm.stop_reason = STOP_NONE;
    vm_plug(&vm, &controller.device, &vi8042_class);
    controller.keyboard_irq = (struct irq_line){.set = see_irq, .input = 1};
    controller.mouse_irq = (struct irq_line){.set = see_irq, .input = 12};
    memset(irq, 0, sizeof(irq));
    return 0;
}

static uint8_t in(unsigned port)
{
    struct access access = {.offset = port, .size = 1};
    assert_true(vdev_access(&controller.device, &access));
    return (uint8_t)access.value;
}

static void out(unsigned port, uint8_t value)
{
    struct access access = {.offset = port, .size = 1, .write = true, .value = value};
    assert_true(vdev_access(&controller.device, &access));
}

// A command whose answer must be there at once.
static uint8_t ask(uint8_t command)
{
    out(0x64, command);
    assert_int_equal(in(0x64) & 0x03, 0x01);
    uint8_t answer = in(0x60);
    assert_int_equal(in(0x64) & 0x01, 0);
    return answer;
}

static void command(uint8_t code, uint8_t data)
{
    out(0x64, code);
    assert_int_equal(in(0x64) & 0x0b, 0x08);
    out(0x60, data);
    assert_int_equal(in(0x64) & 0x0a, 0);
}

// The order in which an operating system finds out what the controller can do.
static void is_found_and_tested(void **state)
{
    assert_int_equal(in(0x64), 0x14); // nothing to flush
    assert_int_equal(ask(0xaa), 0x55);
    assert_int_equal(ask(0x20), 0x34);
    command(0x60, 0x74);
    assert_int_equal(ask(0x20), 0x74);
    command(0xd3, 0x5a);
    assert_int_equal(in(0x64) & 0x21, 0x21); // the mouse port loops back
    assert_int_equal(in(0x60), 0x5a);
    out(0x64, 0xa8);
    assert_int_equal(ask(0x20), 0x54);
    out(0x64, 0xa7);
    assert_int_equal(ask(0x20), 0x74);
    out(0x64, 0xae);
    assert_int_equal(ask(0x20), 0x64);
    out(0x64, 0xad);
    assert_int_equal(ask(0x20), 0x74);
    assert_int_equal(ask(0xa9), 0);
    assert_int_equal(ask(0xab), 0);
    assert_int_equal(ask(0xa4), 0xf1);
    assert_int_equal(ask(0xc0), 0x80);
    assert_int_equal(ask(0xd0), 0xcf);
    assert_int_equal(vm.stop_reason, STOP_NONE);
}

static void absent_devices_time_out_at_once(void **state)
{
    command(0x60, 0x47);
    out(0x60, 0xf2); // identify
    assert_true(irq[1]);
    assert_int_equal(in(0x64), 0x55);
    assert_int_equal(in(0x60), 0xfe);
    assert_false(irq[1]);
    assert_int_equal(in(0x64) & 0x61, 0);
    out(0x64, 0xd4);
    out(0x60, 0xf2);
    assert_true(irq[12]);
    assert_false(irq[1]);
    assert_int_equal(in(0x64), 0x75);
    assert_int_equal(in(0x60), 0xfe);
    assert_false(irq[12]);
    command(0x60, 0x44); // interrupts off
    out(0x60, 0xf2);
    assert_false(irq[1]);
    assert_int_equal(in(0x60), 0xfe);
}

static void loops_back_as_a_keyboard(void **state)
{
    command(0x60, 0x45);
    out(0x64, 0xd2);
    out(0x60, 0x1c);
    assert_true(irq[1]);
    assert_int_equal(in(0x64) & 0x61, 0x01);
    assert_int_equal(in(0x60), 0x1c);
}

static void internal_memory(void **state)
{
    command(0x7f, 0x99);
    assert_int_equal(in(0x64), 0x14); // only byte 0 is seen there
    assert_int_equal(ask(0x3f), 0x99);
    assert_int_equal(ask(0x3e), 0);
    command(0x60, 0x00); // the system flag is a bit of it
    assert_int_equal(in(0x64) & 0x04, 0);
    fresh_controller(state);
    assert_int_equal(in(0x64), 0x14);
    assert_int_equal(in(0x60), 0);
    out(0x60, 0xf2); // no command waits for it: it goes to the keyboard
    assert_int_equal(in(0x64) & 0x61, 0x41);
    fresh_controller(state);
    assert_int_equal(ask(0x20), 0x34);
    assert_int_equal(ask(0x3f), 0);
}

static void reset_line(void **state)
{
    for (unsigned code = 0xf0; code < 0x100; code++) {
        fresh_controller(state);
        out(0x64, (uint8_t)code);
        assert_int_equal(vm.stop_reason, code & 1 ? STOP_NONE : STOP_RESET);
    }
    fresh_controller(state);
    command(0xd1, 0xdd); // A20 off: kept, nothing more
    assert_int_equal(ask(0xd0), 0xdd);
    assert_int_equal(vm.stop_reason, STOP_NONE);
    command(0xd1, 0xfe);
    assert_int_equal(vm.stop_reason, STOP_RESET);
}

static void unknown_commands_swallow_their_byte(void **state)
{
    command(0xd9, 0x12);
    assert_int_equal(in(0x64) & 0x01, 0);
}

static void a_board_with_firmware_has_the_reset_line_alone(void **state)
{
    vm.traits.firmware = FIRMWARE_OVMF;
    assert_int_equal(in(0x64), 0xff);
    out(0x64, 0xaa);
    assert_int_equal(in(0x64), 0xff);
    out(0x64, 0xfe);
    assert_int_equal(vm.stop_reason, STOP_RESET);
    vm.traits.firmware = FIRMWARE_NONE;
    assert_int_not_equal(in(0x64), 0xff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(is_found_and_tested, fresh_controller),
        cmocka_unit_test_setup(absent_devices_time_out_at_once, fresh_controller),
        cmocka_unit_test_setup(loops_back_as_a_keyboard, fresh_controller),
        cmocka_unit_test_setup(internal_memory, fresh_controller),
        cmocka_unit_test_setup(reset_line, fresh_controller),
        cmocka_unit_test_setup(unknown_commands_swallow_their_byte, fresh_controller),
        cmocka_unit_test_setup(a_board_with_firmware_has_the_reset_line_alone, fresh_controller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
