#include "support.h"

#include "drivers/virt/board.h"
#include "vm/platform.h"

static struct vm vm;
static struct vcpu vcpus[2];
static struct lapic_page pages[2];
static struct board board;
static uint8_t test_memory[MMIO_TEST_LENGTH];
static uint64_t now;
static unsigned kicks[2];
static char console[2][64];
static char debug[2];
static unsigned console_length[2], console_room;

static void count_kick(struct vcpu *vcpu)
{
    kicks[vcpu->id]++;
}

static bool console_write(struct vm *from, unsigned port, uint8_t byte)
{
    assert_ptr_equal(from, &vm);
    assert_true(port < 2 || port == 4);
    if (port == 4) {
        debug[0] = (char)byte;
        return true;
    }
    if (console_room == 0)
        return false;
    console_room--;
    console[port][console_length[port]++] = (char)byte;
    return true;
}

static uint64_t wall_clock(struct vm *from)
{
    (void)from;
    return 1700000000;
}

static uint64_t dropped;

static void note_drop(struct vm *from, gpa_t page)
{
    assert_ptr_equal(from, &vm);
    dropped = page.value;
}

static int fresh_board(void **state)
{
    (void)state;
    static const struct vm_host host = {.kick = count_kick,
                                        .console_write = console_write,
                                        .wall_clock = wall_clock,
                                        .memory_drop = note_drop};
    memset(&vm, 0, sizeof(vm));
    memset(vcpus, 0, sizeof(vcpus));
    memset(kicks, 0, sizeof(kicks));
    memset(console, 0, sizeof(console));
    console_length[0] = console_length[1] = 0;
    console_room = 60;
    vm.host = &host;
    vm.config.memory = 256 << 20;
    vm.config.uart2 = true;
    vm.vcpu_count = 2;
    for (unsigned i = 0; i < 2; i++) {
        vcpus[i].id = (uint16_t)i;
        vcpus[i].apic_id = i;
        vcpus[i].vm = &vm;
        vm.vcpu[i] = &vcpus[i];
        lapic_init(&vcpus[i], &pages[i]);
    }
    struct explanation why = {{0}};
    now = 1000;
    assert_int_equal(board_build(&board, &vm, NULL, &why), STATUS_OK);
    return 0;
}

static uint32_t in(unsigned port, uint8_t size)
{
    struct access access = {.offset = port, .size = size, .now = now};
    vm_port_access(&vm, &access);
    return (uint32_t)access.value;
}

static void out(unsigned port, uint8_t size, uint32_t value)
{
    struct access access = {
        .offset = port, .size = size, .now = now, .write = true, .value = value};
    vm_port_access(&vm, &access);
}

static void redirect(unsigned pin, uint32_t low)
{
    struct access select = {.offset = MMIO_IOAPIC, .size = 4, .write = true};
    struct access window = {.offset = MMIO_IOAPIC + 0x10, .size = 4, .write = true, .value = low};
    select.value = 0x10 + 2 * pin;
    vm_mmio_access(&vcpus[0], &select);
    vm_mmio_access(&vcpus[0], &window);
}

static void start_timer(void)
{
    out(0x43, 1, 0x34);
    out(0x40, 1, 0xa9);
    out(0x40, 1, 0x04); // 1193 clocks: 1 kHz
}

static void ports_answer_as_on_a_board(void **state)
{
    (void)state;
    assert_int_equal(in(0x4d1, 1), 0x02); // the SCI is level-triggered
    assert_int_equal(in(0x64, 1), 0x14);
    assert_int_equal(in(0x3fd, 1), 0x60);
    assert_int_equal(in(0x2fd, 1), 0x60);
    assert_int_equal(in(0x92, 1), 0x02);
    assert_int_equal(in(0x80, 1), 0);
    assert_int_equal(in(0xed, 1), 0xff);
    assert_int_equal(vm.unclaimed_ports, 0);
    assert_int_equal(in(0x3ed, 1), 0xff); // COM3
    assert_int_equal(in(0xe9, 1), 0xff);  // no debug console
    assert_int_equal(vm.unclaimed_ports, 2);
    // A word to a byte register reaches its neighbour.
    out(0x3fe, 2, 0xa500);
    assert_int_equal(in(0x3ff, 1), 0xa5);
}

static uint8_t cmos(uint8_t at)
{
    out(0x70, 1, at);
    return (uint8_t)in(0x71, 1);
}

static void clock_knows_date_and_memory(void **state)
{
    (void)state;
    assert_int_equal(cmos(0x00), 0x20); // 2023-11-14 22:13:20
    assert_int_equal(cmos(0x04), 0x22);
    assert_int_equal(cmos(0x09), 0x23);
    assert_int_equal(cmos(0x34) | cmos(0x35) << 8, (256 - 16) * 16);
    assert_int_equal(cmos(0x17) | cmos(0x18) << 8, 0xffff);
    assert_int_equal(cmos(0x15) | cmos(0x16) << 8, 640);
    assert_int_equal(cmos(0x5b), 0);
    assert_int_equal(cmos(0x5f), 1);
}

static void pci_finds_one_bridge(void **state)
{
    (void)state;
    out(0xcfb, 1, 0x01);
    out(0xcf8, 4, 0x80000000);
    assert_int_equal(in(0xcf8, 4), 0x80000000);
    assert_int_equal(in(0xcfc, 4), 0x0d578086);
    out(0xcf8, 4, 0x80000800);
    assert_int_equal(in(0xcfc, 4), 0xffffffff);
    assert_int_equal(vm.unclaimed_ports, 1); // the byte to CFBh
}

static void timer_reaches_both_controllers(void **state)
{
    (void)state;
    out(0x20, 1, 0x11);
    out(0x21, 1, 0x30);
    out(0x21, 1, 0x04);
    out(0x21, 1, 0x01);
    redirect(GSI_PIT, 0x51);
    struct access enable = {.offset = MMIO_LAPIC + 0xf0, .size = 4, .write = true, .value = 0x1ff};
    vm_mmio_access(&vcpus[0], &enable);
    atomic_store(&vcpus[0].requests, 0);
    start_timer();
    assert_false(vm.irqchip.pic_pending(vm.irqchip.pic));
    uint64_t due = vm.device_deadline;
    assert_true(due > now && due <= now + 1000000);
    assert_true(kicks[0] > 0); // the deadline is news for vCPU 0
    assert_true(vcpus[0].requests & REQUEST_TIMER);
    atomic_store(&vcpus[0].requests, 0);
    board_tick(&vm, due - 1);
    assert_int_equal(vcpus[0].requests, 0);
    board_tick(&vm, due);
    assert_true(vm.irqchip.pic_pending(vm.irqchip.pic));
    assert_int_equal(vm.irqchip.pic_acknowledge(vm.irqchip.pic), 0x30);
    assert_true(vcpus[0].requests & REQUEST_EVENT);
    assert_false(vcpus[0].requests & REQUEST_TIMER); // vCPU 0 ticks: it knows
    assert_int_equal(lapic_pending(&vcpus[0]), 0x51);
    assert_true(vm.device_deadline > due);
    assert_int_equal(kicks[1], 0);
}

static void tick_passes_over_a_thousand_periods(void **state)
{
    (void)state;
    start_timer();
    now += 1000000000;
    board_tick(&vm, now);
    assert_true(vm.device_deadline > now);
    assert_true(vm.device_deadline <= now + 1000000);
}

static void console_goes_both_ways(void **state)
{
    (void)state;
    console_room = 2;
    out(0x3fa, 1, 0x01);
    out(0x3f8, 1, 'h');
    out(0x2f8, 1, 'x');
    out(0x3f8, 1, 'i');
    assert_string_equal(console[0], "h");
    assert_string_equal(console[1], "x");
    console_room = 5;
    board_uart_room(&vm);
    assert_string_equal(console[0], "hi");
    assert_true(board_uart_receive(&vm, 0, 'q'));
    assert_true(board_uart_receive(&vm, 1, 'r'));
    assert_false(board_uart_receive(&vm, 2, 's'));
    assert_false(board_uart_receive(&vm, ~0U, VUART_BREAK));
    assert_int_equal(in(0x3f8, 1), 'q');
    assert_int_equal(in(0x2f8, 1), 'r');
}

static void receive_timeout_is_a_deadline(void **state)
{
    (void)state;
    out(0x3fa, 1, 0xc1);
    out(0x3fc, 1, 0x08);
    out(0x3f9, 1, 0x01);
    assert_true(board_uart_receive(&vm, 0, 'q'));
    uint64_t due = vm.device_deadline;
    assert_int_not_equal(due, NEVER);
    assert_true(vcpus[0].requests & REQUEST_TIMER);
    board_tick(&vm, due);
    assert_int_equal(in(0x3fa, 1), 0xcc);
    assert_int_equal(vm.device_deadline, NEVER);
}

static void guests_end_themselves(void **state)
{
    static const struct {
        uint16_t port;
        uint8_t size;
        uint32_t value;
        enum stop_reason reason;
    } ways[] = {
        {0x604, 2, 0x2000, STOP_POWEROFF}, {0x604, 4, 0x2001, STOP_POWEROFF},
        {0x604, 2, 0x3400, STOP_NONE},     {0xcf9, 1, 0x06, STOP_RESET},
        {0xcf9, 1, 0x02, STOP_NONE},       {0xcf8, 4, 0x00000600, STOP_NONE},
        {0x92, 1, 0x03, STOP_RESET},       {0x92, 1, 0x02, STOP_NONE},
        {0x64, 1, 0xfe, STOP_RESET},       {0x64, 1, 0xff, STOP_NONE},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(ways); i++) {
        fresh_board(state);
        out(ways[i].port, ways[i].size, ways[i].value);
        assert_int_equal(vm.stop_reason, ways[i].reason);
        assert_int_equal(kicks[1], ways[i].reason != STOP_NONE);
    }
}

static int board_for_tests(void **state)
{
    struct explanation why;
    fresh_board(state);
    memset(&vm.ports, 0, sizeof(vm.ports));
    memset(&vm.mmio, 0, sizeof(vm.mmio));
    vm.config.testdev = true;
    memset(test_memory, 0, sizeof(test_memory));
    assert_int_equal(board_build(&board, &vm, test_memory, &why), STATUS_OK);
    return 0;
}

static void test_device_ends_the_vm(void **state)
{
    out(0xf4, 4, 0x12345678);
    assert_int_equal(vm.stop_reason, STOP_DEBUG_EXIT);
    assert_int_equal(vm.stop_code, 0x12345678);
    board_for_tests(state);
    assert_int_equal(in(0xf4, 4), 0);
    out(0xf7, 1, 9);
    assert_int_equal(vm.stop_code, 9);
    board_for_tests(state);
    for (const char *letter = "ShutShutdow"; *letter; letter++)
        out(0x8900, 1, (uint8_t)*letter);
    assert_int_equal(vm.stop_reason, STOP_NONE);
    out(0x8900, 1, 'n');
    assert_int_equal(vm.stop_reason, STOP_POWEROFF);
}

static void test_device_flushes_pages_of_ram(void **state)
{
    (void)state;
    static uint8_t ram[2 * PAGE_SIZE];
    vm.memory.region[0] = (struct gmem_region){gpa(0x10000), sizeof(ram), ram};
    vm.memory.count = 1;
    out(0xe4, 4, 0x11abc);
    assert_int_equal(dropped, 0x11000);
    out(0xe4, 4, 0x12000); // no RAM
    out(0xe4, 2, 0x10000); // no whole address
    out(0xe6, 4, 0x10000);
    assert_int_equal(dropped, 0x11000);
}

static void test_data_is_a_latch_of_four_bytes(void **state)
{
    (void)state;
    assert_int_equal(in(0xe0, 4), 0);
    out(0xe0, 4, 0x44332211);
    assert_int_equal(in(0xe0, 4), 0x44332211);
    assert_int_equal(in(0xe1, 2), 0x3322);
    out(0xe2, 2, 0xbbaa);
    out(0xe0, 1, 0x99);
    assert_int_equal(in(0xe8, 4), 0xbbaa2299);
    assert_int_equal(in(0xe8, 1), 0x99);
    assert_int_equal(in(0xe9, 1), 0xe9); // the console's
    assert_int_equal(in(0xe9, 2), 0xaa22);
    assert_int_equal(in(0xeb, 1), 0xbb);
    out(0xea, 2, 0x7766);
    assert_int_equal(in(0xe0, 4), 0x77662299);
    out(0xe2, 4, 0x01020304); // half of it is another port's
    assert_int_equal(in(0xe2, 4), 0xffff0304);
}

static bool ioapic_input(unsigned pin)
{
    return board.ioapic.inputs >> pin & 1;
}

static void test_lines_reach_the_controllers(void **state)
{
    (void)state;
    for (unsigned line = 0; line < VIOAPIC_PINS; line++) {
        board_for_tests(state);
        bool is_timer = line == IRQ_PIT, is_cascade = line == IRQ_CASCADE;
        unsigned pin = is_timer ? GSI_PIT : line;
        uint32_t others = board.ioapic.inputs & ~BIT32(pin);
        out(0x2000 + line, 1, 0x80);
        assert_int_equal(ioapic_input(pin), !is_cascade || ioapic_input(GSI_PIT));
        if (line < 16 && !is_cascade)
            assert_int_equal(board.pic.chip[line / 8].lines >> line % 8 & 1, 1);
        assert_int_equal(board.ioapic.inputs & ~BIT32(pin), others);
        out(0x2000 + line, 1, 0);
        if (!is_cascade)
            assert_false(ioapic_input(pin));
    }
    out(0x2000, 2, 0x0101); // bytes only
    out(0x2000 + VIOAPIC_PINS, 1, 1);
    assert_int_equal(in(0x2005, 1), 0xff);
    assert_int_equal(vm.unclaimed_ports, 3);
}

static void test_device_is_not_on_every_board(void **state)
{
    (void)state;
    out(0xf4, 1, 0);
    for (const char *letter = "Shutdown"; *letter; letter++)
        out(0x8900, 1, (uint8_t)*letter);
    assert_int_equal(vm.stop_reason, STOP_NONE);
    assert_int_equal(vm.unclaimed_ports, 9);
}

static uint64_t mmio(uint64_t at, uint8_t size, bool write, uint64_t value)
{
    struct access access = {.offset = at, .size = size, .write = write, .value = value};
    vm_mmio_access(&vcpus[0], &access);
    return access.value;
}

static void test_memory_is_memory(void **state)
{
    (void)state;
    mmio(MMIO_TEST + 3, 8, true, UINT64_C(0x1122334455667788));
    assert_int_equal(mmio(MMIO_TEST, 8, false, 0), UINT64_C(0x4455667788000000));
    assert_int_equal(mmio(MMIO_TEST + 10, 1, false, 0), 0x11);
    mmio(MMIO_TEST + MMIO_TEST_LENGTH - 2, 4, true, 0xaabbccdd); // half of it falls off
    assert_int_equal(mmio(MMIO_TEST + MMIO_TEST_LENGTH - 2, 4, false, 0), 0xffffccdd);
}

static void debug_console_prints(void **state)
{
    (void)state;
    assert_int_equal(in(0xe9, 1), 0xe9);
    out(0xe9, 1, '!');
    assert_string_equal(debug, "!");
}

static void power_button_needs_acpi(void **state)
{
    (void)state;
    assert_false(board_power_button(&vm));
    out(0x600, 2, 0x0100);
    out(0x602, 2, 0x0100);
    out(0xa0, 1, 0x11);
    out(0xa1, 1, 0x38);
    out(0xa1, 1, 0x02);
    out(0xa1, 1, 0x01);
    assert_true(board_power_button(&vm));
    assert_int_equal(in(0xa0, 1), 0x02); // the SCI
    out(0x600, 2, 0x0100);
    assert_int_equal(in(0xa0, 1), 0);
}

static void built_anew_it_is_as_after_power_on(void **state)
{
    (void)state;
    start_timer();
    out(0x3ff, 1, 0x77);
    out(0xcf9, 1, 0x02);
    out(0x80, 1, 0x12);
    out(0x21, 1, 0xff);
    redirect(4, 0x54);
    assert_int_not_equal(vm.device_deadline, NEVER);
    fresh_board(state);
    assert_int_equal(vm.device_deadline, NEVER);
    assert_int_equal(in(0x3ff, 1), 0);
    assert_int_equal(in(0xcf9, 1), 0);
    assert_int_equal(in(0x80, 1), 0);
    assert_int_equal(in(0x21, 1), 0);
    struct access select = {.offset = MMIO_IOAPIC, .size = 4, .write = true, .value = 0x10 + 2 * 4};
    struct access window = {.offset = MMIO_IOAPIC + 0x10, .size = 4};
    vm_mmio_access(&vcpus[0], &select);
    vm_mmio_access(&vcpus[0], &window);
    assert_int_equal(window.value, 0x10000); // masked
}

static void mmio_knows_its_devices(void **state)
{
    (void)state;
    struct access access = {.offset = MMIO_LAPIC + 0x30, .size = 4};
    vm_mmio_access(&vcpus[0], &access);
    assert_int_equal(access.value & 0xff, 0x14 | (access.value & 0x0f)); // an APIC's version
    assert_int_equal(vm.unclaimed_mmio, 0);
    access = (struct access){.offset = 0xfed00000, .size = 8};
    vm_mmio_access(&vcpus[0], &access);
    assert_int_equal(access.value, ~0ULL);
    assert_int_equal(vm.unclaimed_mmio, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(ports_answer_as_on_a_board, fresh_board),
        cmocka_unit_test_setup(clock_knows_date_and_memory, fresh_board),
        cmocka_unit_test_setup(pci_finds_one_bridge, fresh_board),
        cmocka_unit_test_setup(timer_reaches_both_controllers, fresh_board),
        cmocka_unit_test_setup(tick_passes_over_a_thousand_periods, fresh_board),
        cmocka_unit_test_setup(console_goes_both_ways, fresh_board),
        cmocka_unit_test_setup(receive_timeout_is_a_deadline, fresh_board),
        cmocka_unit_test_setup(guests_end_themselves, fresh_board),
        cmocka_unit_test_setup(test_device_ends_the_vm, board_for_tests),
        cmocka_unit_test_setup(test_device_flushes_pages_of_ram, board_for_tests),
        cmocka_unit_test_setup(test_data_is_a_latch_of_four_bytes, board_for_tests),
        cmocka_unit_test_setup(test_lines_reach_the_controllers, board_for_tests),
        cmocka_unit_test_setup(test_memory_is_memory, board_for_tests),
        cmocka_unit_test_setup(test_device_is_not_on_every_board, fresh_board),
        cmocka_unit_test_setup(debug_console_prints, board_for_tests),
        cmocka_unit_test_setup(power_button_needs_acpi, fresh_board),
        cmocka_unit_test_setup(built_anew_it_is_as_after_power_on, fresh_board),
        cmocka_unit_test_setup(mmio_knows_its_devices, fresh_board),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
