#include "support.h"

#include "drivers/virt/legacy/vuart.h"
#include "vm/vm.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR, FCR = IIR };

static struct vm vm;
static struct vuart uart;
static uint64_t now;
static struct vm_console console;
static char line[64];
static bool irq;
static unsigned edges;

// The line takes so many bytes more.
static void give_room(unsigned bytes)
{
    console.printed.read = console.printed.written - (sizeof(line) - bytes);
}

static void see_irq(void *controller, unsigned input, bool level)
{
    assert_int_equal(input, 4);
    edges += level && !irq;
    irq = level;
}

static int fresh_uart(void **state)
{
    memset(line, 0, sizeof(line));
    ring_init(&console.printed, (uint8_t *)line, sizeof(line));
    edges = 0;
    now = 1000;
    irq = false;
    vm.deadlines = (struct deadlines){.first = NEVER};
    vm.console[0] = &console;
    vm_plug(&vm, &uart.device, &vuart_class);
    uart.irq = (struct irq_line){.set = see_irq, .input = 4};
    return 0;
}

static uint8_t in(unsigned reg)
{
    struct access access = {.offset = reg, .size = 1, .now = now};
    assert_true(vdev_access(&uart.device, &access));
    return (uint8_t)access.value;
}

static void out(unsigned reg, uint8_t value)
{
    struct access access = {.offset = reg, .size = 1, .now = now, .write = true, .value = value};
    assert_true(vdev_access(&uart.device, &access));
}

static void after_reset(void **state)
{
    assert_int_equal(in(IER), 0);
    assert_int_equal(in(IIR), 0x01);
    assert_int_equal(in(MCR), 0);
    assert_int_equal(in(LSR), 0x60);
    assert_int_equal(in(MSR), 0xb0);
    assert_false(irq);
}

// What drivers probe to tell an 8250 from a 16550A and its successors.
static void is_detected_as_16550a(void **state)
{
    out(SCR, 0xa5);
    assert_int_equal(in(SCR), 0xa5);
    out(IER, 0xff);
    assert_int_equal(in(IER), 0x0f); // no sleep mode, no UUE
    out(IER, 0);
    out(MCR, 0x1a);
    assert_int_equal(in(MSR)&0xf0, 0x90); // RTS and OUT2 looped back
    out(MCR, 0);
    out(FCR, 0x01);
    assert_int_equal(in(IIR) >> 6, 3);
    out(LCR, 0x80);
    assert_int_not_equal(in(IIR), 0); // no 16C850's extended registers
    out(LCR, 0xbf);
    assert_int_not_equal(in(IIR), 0); // no 16C950's either
    out(LCR, 0x80);
    out(FCR, 0x21);
    assert_int_equal(in(IIR)&0x20, 0); // no 64-byte FIFO
    out(LCR, 0);
    out(FCR, 0);
    assert_int_equal(in(IIR), 0x01);
}

static void divisor_hides_behind_dlab(void **state)
{
    out(LCR, 0x83);
    out(DATA, 0x01);
    out(IER, 0x02);
    assert_int_equal(in(DATA), 0x01);
    assert_int_equal(in(IER), 0x02);
    out(LCR, 0x03);
    assert_int_equal(in(IER), 0);
    assert_int_equal(console.printed.written, 0);
    assert_int_equal(uart.divisor, 0x0201);
}

static void output_raises_the_transmit_interrupt(void **state)
{
    out(MCR, 0x08);
    out(IER, 0x02); // THR is empty: at once
    assert_true(irq);
    assert_int_equal(in(IIR), 0x02); // and reading IIR takes it
    assert_false(irq);
    assert_int_equal(in(IIR), 0x01);
    out(DATA, 'a');
    assert_true(irq);
    out(DATA, 'b'); // a new edge, not a level that stays
    assert_int_equal(edges, 3);
    assert_string_equal(line, "ab");
    assert_int_equal(in(LSR), 0x60);
    out(IER, 0);
    assert_false(irq);
    in(IIR);
    out(IER, 0x02);
    assert_int_equal(in(IIR), 0x02);
    out(MCR, 0); // without OUT2 nothing gets out
    out(DATA, 'c');
    assert_false(irq);
}

static void refused_output_waits_in_the_fifo(void **state)
{
    give_room(2);
    out(FCR, 0x01);
    out(MCR, 0x08);
    out(IER, 0x02);
    in(IIR);
    for (char c = 'a'; c < 'a' + 2 + 16 + 1; c++) // the last one finds the FIFO full
        out(DATA, (uint8_t)c);
    assert_string_equal(line, "ab");
    assert_true(console.is_held);
    assert_int_equal(in(LSR)&0x60, 0);
    assert_int_equal(in(IIR), 0xc1);
    assert_false(irq);
    give_room(3);
    vuart_flush(&uart);
    assert_string_equal(line, "abcde");
    assert_int_equal(in(LSR)&0x60, 0);
    assert_false(irq);
    give_room(40);
    vuart_flush(&uart);
    assert_string_equal(line, "abcdefghijklmnopqr");
    assert_int_equal(in(LSR)&0x60, 0x60);
    assert_true(irq);
    assert_int_equal(in(IIR), 0xc2);
}

static void fifos_are_cleared_apart(void **state)
{
    give_room(0);
    out(FCR, 0x01);
    out(MCR, 0x08);
    out(IER, 0x02);
    in(IIR);
    out(DATA, 'x');
    assert_true(vuart_receive(&uart, 'y'));
    out(FCR, 0x03);
    assert_int_equal(in(LSR), 0x00); // the received byte is gone, the held one is not
    assert_int_equal(in(DATA), 0);
    out(FCR, 0x05);
    assert_int_equal(in(LSR), 0x60);
    assert_int_equal(in(IIR), 0xc2);
    out(FCR, 0x05); // nothing held: no news
    assert_int_equal(in(IIR), 0xc1);
    give_room(9);
    vuart_flush(&uart);
    assert_int_equal(console.printed.written, 0);
    assert_true(vuart_receive(&uart, 'z'));
    out(FCR, 0x00); // switching them off clears both
    assert_int_equal(in(LSR), 0x60);
}

static void without_fifo_one_byte_waits(void **state)
{
    give_room(0);
    out(DATA, 'x');
    assert_int_equal(in(LSR)&0x60, 0);
    out(DATA, 'y');
    give_room(9);
    vuart_flush(&uart);
    assert_string_equal(line, "x");
    assert_int_equal(in(LSR)&0x60, 0x60);
}

static void input_without_fifo(void **state)
{
    out(MCR, 0x08);
    out(IER, 0x01);
    assert_true(vuart_receive(&uart, 'q'));
    assert_true(irq);
    assert_false(vuart_receive(&uart, 'r'));
    assert_int_equal(in(LSR), 0x61);
    assert_int_equal(in(IIR), 0x04);
    assert_int_equal(in(DATA), 'q');
    assert_false(irq);
    assert_int_equal(in(LSR), 0x60);
    assert_true(vuart_receive(&uart, 'r'));
}

static void trigger_levels_and_timeout(void **state)
{
    out(LCR, 0x83);
    out(DATA, 1); // 115200 baud: a bit is 8680 ns, four characters of 10 bits 347200
    out(IER, 0);
    out(LCR, 0x03);
    out(FCR, 0x41); // 4 bytes
    out(MCR, 0x08);
    out(IER, 0x01);
    for (unsigned i = 0; i < 3; i++)
        assert_true(vuart_receive(&uart, (uint8_t)('a' + i)));
    assert_false(irq);
    assert_int_equal(vm.deadlines.first, now + 347200);
    assert_int_equal(vdev_tick(&uart.device, now + 347199), now + 347200);
    assert_false(irq);
    assert_int_equal(vdev_tick(&uart.device, now + 347200), NEVER);
    assert_true(irq);
    assert_int_equal(in(IIR), 0xcc);
    assert_true(vuart_receive(&uart, 'd'));
    assert_int_equal(in(IIR), 0xc4); // the trigger level goes first
    now += 1000000;
    assert_int_equal(in(DATA), 'a');
    assert_int_equal(in(IIR), 0xc1);
    assert_int_equal(uart.device.class->deadline(&uart.device), now + 347200);
    for (unsigned i = 0; i < 13; i++)
        assert_true(vuart_receive(&uart, (uint8_t)('e' + i)));
    assert_false(vuart_receive(&uart, '!'));
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(in(DATA), 'b' + i);
    assert_false(irq);
    assert_int_equal(in(LSR), 0x60);
    assert_int_equal(uart.device.class->deadline(&uart.device), NEVER);
}

static void loopback_overruns(void **state)
{
    out(MCR, 0x18);
    out(IER, 0x05);
    assert_false(vuart_receive(&uart, '!')); // the line is cut off
    out(DATA, 'a');
    assert_int_equal(in(IIR), 0x04);
    out(DATA, 'b');
    assert_int_equal(in(IIR), 0x06);
    assert_int_equal(in(LSR), 0x63);
    assert_int_equal(in(LSR), 0x61);
    assert_int_equal(in(DATA), 'b'); // overwritten
    assert_int_equal(console.printed.written, 0);
    out(FCR, 0x01);
    for (unsigned i = 0; i < 17; i++)
        out(DATA, (uint8_t)i);
    assert_int_equal(in(LSR), 0x63);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(in(DATA), i);
    assert_int_equal(in(LSR), 0x60);
}

static void modem_deltas(void **state)
{
    out(IER, 0x08);
    out(MCR, 0x1f); // all outputs on: RI rises, and a rising RI is no event
    assert_int_equal(in(MSR), 0xf0);
    out(MCR, 0x18); // DTR, RTS and OUT1 off
    assert_int_equal(in(IIR), 0x00);
    assert_true(irq);
    assert_int_equal(in(MSR), 0x87);
    assert_int_equal(in(MSR), 0x80);
    assert_false(irq);
    out(MCR, 0x08); // the terminal is there again
    assert_int_equal(in(MSR), 0xb3);
}

static void break_travels_with_its_character(void **state)
{
    out(FCR, 0x01);
    out(MCR, 0x08);
    out(IER, 0x05);
    assert_true(vuart_receive(&uart, 'x'));
    assert_true(vuart_receive(&uart, VUART_BREAK));
    assert_int_equal(in(IIR), 0xc4);
    assert_int_equal(in(LSR), 0xe1); // an error somewhere in the FIFO
    assert_int_equal(in(DATA), 'x');
    assert_int_equal(in(IIR), 0xc6);
    assert_int_equal(in(LSR), 0x71);
    assert_int_equal(in(LSR), 0x61);
    assert_int_equal(in(DATA), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(after_reset, fresh_uart),
        cmocka_unit_test_setup(is_detected_as_16550a, fresh_uart),
        cmocka_unit_test_setup(divisor_hides_behind_dlab, fresh_uart),
        cmocka_unit_test_setup(output_raises_the_transmit_interrupt, fresh_uart),
        cmocka_unit_test_setup(refused_output_waits_in_the_fifo, fresh_uart),
        cmocka_unit_test_setup(fifos_are_cleared_apart, fresh_uart),
        cmocka_unit_test_setup(without_fifo_one_byte_waits, fresh_uart),
        cmocka_unit_test_setup(input_without_fifo, fresh_uart),
        cmocka_unit_test_setup(trigger_levels_and_timeout, fresh_uart),
        cmocka_unit_test_setup(loopback_overruns, fresh_uart),
        cmocka_unit_test_setup(modem_deltas, fresh_uart),
        cmocka_unit_test_setup(break_travels_with_its_character, fresh_uart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
