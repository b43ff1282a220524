#include "support.h"

#include "drivers/virt/board.h"
#include "vm/platform.h"
#include "tests/ram.h"

static struct vm vm;
static struct vcpu vcpus[2];
static struct lapic_page pages[2];
static struct board board;
static uint8_t test_memory[MMIO_TEST_LENGTH];
static uint64_t now;
static unsigned kicks[2];
static struct vm_console consoles[2];
static char console[2][64];

static void count_kick(struct vcpu *vcpu)
{
    kicks[vcpu->id]++;
}

static uint64_t wall_clock(struct vm *from)
{
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
    static const struct vm_host host = {
        .kick = count_kick, .wall_clock = wall_clock, .memory_drop = note_drop};
    memset(&vm, 0, sizeof(vm));
    memset(vcpus, 0, sizeof(vcpus));
    memset(kicks, 0, sizeof(kicks));
    memset(console, 0, sizeof(console));
    for (unsigned i = 0; i < 2; i++) {
        ring_init(&consoles[i].printed, (uint8_t *)console[i], sizeof(console[i]));
        vm.console[i] = &consoles[i];
    }
    vm.host = &host;
    vm.traits.memory = 256 << 20;
    vm.traits.uart2 = true;
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
    assert_int_equal(board_build(&board, &vm, &(struct board_parts){0}, &why), STATUS_OK);
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
    assert_int_equal(in(0x4d1, 1), 0x0e); // the SCI and PCI's are level-triggered
    assert_int_equal(in(0x64, 1), 0x14);
    assert_int_equal(in(0x3fd, 1), 0x60);
    assert_int_equal(in(0x2fd, 1), 0x60);
    assert_int_equal(in(0x92, 1), 0x02);
    assert_int_equal(in(0x80, 1), 0);
    assert_int_equal(in(0xed, 1), 0xff);
    assert_int_equal(access_counts_total(&vm.unclaimed_ports), 0);
    assert_int_equal(in(0x3ed, 1), 0xff); // COM3
    assert_int_equal(in(0xe9, 1), 0xff);  // no debug console
    assert_int_equal(access_counts_total(&vm.unclaimed_ports), 2);
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
    out(0xcfb, 1, 0x01);
    out(0xcf8, 4, 0x80000000);
    assert_int_equal(in(0xcf8, 4), 0x80000000);
    assert_int_equal(in(0xcfc, 4), 0x0d578086);
    out(0xcf8, 4, 0x80000800);
    assert_int_equal(in(0xcfc, 4), 0xffffffff);
    assert_int_equal(access_counts_total(&vm.unclaimed_ports), 1); // the byte to CFBh
}

static void timer_reaches_both_controllers(void **state)
{
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
    uint64_t due = vm.deadlines.first;
    assert_true(due > now && due <= now + 1000000);
    assert_true(kicks[0] > 0); // the deadline is news for vCPU 0
    assert_true(vcpus[0].requests & REQUEST_TIMER);
    atomic_store(&vcpus[0].requests, 0);
    vm_tick_devices(&vm, due - 1);
    assert_int_equal(vcpus[0].requests, 0);
    vm_tick_devices(&vm, due);
    assert_true(vm.irqchip.pic_pending(vm.irqchip.pic));
    assert_int_equal(vm.irqchip.pic_acknowledge(vm.irqchip.pic), 0x30);
    assert_true(vcpus[0].requests & REQUEST_EVENT);
    assert_false(vcpus[0].requests & REQUEST_TIMER); // vCPU 0 ticks: it knows
    assert_int_equal(lapic_pending(&vcpus[0]), 0x51);
    assert_true(vm.deadlines.first > due);
    assert_int_equal(kicks[1], 0);
}

static void tick_passes_over_a_thousand_periods(void **state)
{
    start_timer();
    now += 1000000000;
    vm_tick_devices(&vm, now);
    assert_true(vm.deadlines.first > now);
    assert_true(vm.deadlines.first <= now + 1000000);
}

static void console_goes_both_ways(void **state)
{
    consoles[0].printed.read -= sizeof(console[0]) - 1; // room for one byte
    out(0x3fa, 1, 0x01);
    out(0x3f8, 1, 'h');
    out(0x2f8, 1, 'x');
    out(0x3f8, 1, 'i');
    assert_string_equal(console[0], "h");
    assert_string_equal(console[1], "x");
    assert_true(consoles[0].is_held && !consoles[1].is_held);
    consoles[0].printed.read = consoles[0].printed.written;
    board_flush(&vm, true);
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
    out(0x3fa, 1, 0xc1);
    out(0x3fc, 1, 0x08);
    out(0x3f9, 1, 0x01);
    assert_true(board_uart_receive(&vm, 0, 'q'));
    uint64_t due = vm.deadlines.first;
    assert_int_not_equal(due, NEVER);
    assert_true(vcpus[0].requests & REQUEST_TIMER);
    vm_tick_devices(&vm, due);
    assert_int_equal(in(0x3fa, 1), 0xcc);
    assert_int_equal(vm.deadlines.first, NEVER);
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
    vm.traits.testdev = true;
    memset(test_memory, 0, sizeof(test_memory));
    assert_int_equal(
        board_build(&board, &vm, &(struct board_parts){.test_memory = test_memory}, &why),
        STATUS_OK);
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
    static uint8_t ram[2 * PAGE_SIZE];
    ram_is(&vm.memory, ram, sizeof(ram));
    out(0xe4, 4, 0x1abc);
    assert_int_equal(dropped, 0x1000);
    out(0xe4, 4, 0x2000); // no RAM
    out(0xe4, 2, 0);      // no whole address
    out(0xe6, 4, 0);
    assert_int_equal(dropped, 0x1000);
}

static void test_data_is_a_latch_of_four_bytes(void **state)
{
    assert_int_equal(in(0xe0, 4), 0);
    out(0xe0, 4, 0x44332211);
    assert_int_equal(in(0xe0, 4), 0x44332211);
    assert_int_equal(in(0xe1, 2), 0x3322);
    out(0xe2, 2, 0xbbaa);
    out(0xe0, 1, 0x99);
    assert_int_equal(in(0xe8, 4), 0xbbaae999);
    assert_int_equal(in(0xe8, 1), 0x99);
    assert_int_equal(in(0xe9, 1), 0xe9); // the console's
    assert_int_equal(in(0xe9, 2), 0xaae9);
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
    for (unsigned line = 0; line < VIOAPIC_PINS; line++) {
        board_for_tests(state);
        bool is_cascade = line == IRQ_CASCADE;
        unsigned pin = line;
        if (line == IRQ_PIT) // the timer rests high there
            continue;
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
    board_for_tests(state);
    out(0x2005, 4, 0x80000100); // each byte is a line's, as with QEMU under KVM
    assert_false(ioapic_input(5) || ioapic_input(7));
    assert_true(ioapic_input(6) && ioapic_input(8));
    out(0x2000 + VIOAPIC_PINS - 1, 2, 0x0101); // and behind the last one is none
    assert_true(ioapic_input(VIOAPIC_PINS - 1));
    out(0x2000 + VIOAPIC_PINS, 1, 1);
    assert_int_equal(in(0x2005, 1), 0xff);
    assert_int_equal(access_counts_total(&vm.unclaimed_ports), 2);
}

static void lines_of_one_input_are_ored(void **state)
{
    out(PORT_COM1 + 4, 1, 0x08);
    out(PORT_COM1 + 1, 1, 0x02); // the transmitter is empty: its line rises
    assert_true(ioapic_input(IRQ_COM1));
    out(0x2000 + IRQ_COM1, 1, 1);
    out(PORT_COM1 + 1, 1, 0);
    assert_true(ioapic_input(IRQ_COM1));
    assert_true(board.pic.chip[0].lines & BIT32(IRQ_COM1));
    out(PORT_COM1 + 1, 1, 0x02);
    out(0x2000 + IRQ_COM1, 1, 0);
    assert_true(ioapic_input(IRQ_COM1));

    // Lines that a loaded state holds up are counted.
    static uint8_t saved[128 << 10];
    struct explanation why;
    out(0x2000 + IRQ_COM1, 1, 1);
    size_t length = board_save(&vm, saved, sizeof(saved));
    board_for_tests(state);
    assert_int_equal(board_load(&vm, saved, length, &why), STATUS_OK);
    out(0x2000 + IRQ_COM1, 1, 0);
    assert_true(ioapic_input(IRQ_COM1));
    out(PORT_COM1 + 1, 1, 0);
    assert_false(ioapic_input(IRQ_COM1));
    assert_false(board.pic.chip[0].lines & BIT32(IRQ_COM1));
}

static void test_device_is_not_on_every_board(void **state)
{
    out(0xf4, 1, 0);
    for (const char *letter = "Shutdown"; *letter; letter++)
        out(0x8900, 1, (uint8_t)*letter);
    assert_int_equal(vm.stop_reason, STOP_NONE);
    assert_int_equal(access_counts_total(&vm.unclaimed_ports), 9);
}

static uint64_t mmio(uint64_t at, uint8_t size, bool write, uint64_t value)
{
    struct access access = {.offset = at, .size = size, .write = write, .value = value};
    vm_mmio_access(&vcpus[0], &access);
    return access.value;
}

static void test_memory_is_memory(void **state)
{
    mmio(MMIO_TEST + 3, 8, true, UINT64_C(0x1122334455667788));
    assert_int_equal(mmio(MMIO_TEST, 8, false, 0), UINT64_C(0x4455667788000000));
    assert_int_equal(mmio(MMIO_TEST + 10, 1, false, 0), 0x11);
    mmio(MMIO_TEST + MMIO_TEST_LENGTH - 2, 4, true, 0xaabbccdd); // half of it falls off
    assert_int_equal(mmio(MMIO_TEST + MMIO_TEST_LENGTH - 2, 4, false, 0), 0xffffccdd);
}

// COM1 takes what its receiver has room for; nobody reads at the others yet, and COM2 is none.
static void lines_lead_to_their_ports(void **state)
{
    static const uint8_t typed[40] = "twenty and twenty";
    struct explanation why;
    (void)state;
    memset(&vm.ports, 0, sizeof(vm.ports));
    memset(&vm.mmio, 0, sizeof(vm.mmio));
    vm.traits.uart2 = false;
    vm.traits.virtio_console = vm.traits.guest_agent = true;
    assert_int_equal(board_build(&board, &vm, &(struct board_parts){0}, &why), STATUS_OK);
    out(PORT_COM1 + 2, 1, 1); // FIFOs
    assert_int_equal(board_receive(&vm, LINE_COM1, typed, sizeof(typed)), VUART_FIFO);
    assert_int_equal(in(PORT_COM1, 1), 't');
    assert_int_equal(board_receive(&vm, LINE_COM1, typed, sizeof(typed)), 1);
    for (enum vm_line line = LINE_COM2; line < VM_CONSOLES; line++)
        assert_int_equal(board_receive(&vm, line, typed, sizeof(typed)), 0);
    assert_true(board_line_is_open(&vm, LINE_COM1));
    for (enum vm_line line = LINE_COM2; line < VM_CONSOLES; line++)
        assert_false(board_line_is_open(&vm, line));
    board_resize(&vm, 80, 25);
    assert_memory_equal(board.console.virtio.config, "\x50\0\x19\0", 4);
    assert_memory_equal(board.agent.virtio.config, "\0\0\0\0", 4);
    assert_true(board_flush(&vm, true));
}

static void debug_console_prints(void **state)
{
    assert_int_equal(in(0xe9, 1), 0xe9);
    out(0xe9, 1, '!');
    out(0x3f8, 1, '?'); // on the same line
    assert_string_equal(console[0], "!?");
}

static void power_button_needs_acpi(void **state)
{
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

static uint64_t read_memory(uint64_t at, uint8_t size)
{
    struct access access = {.offset = at, .size = size};
    vm_mmio_access(&vcpus[0], &access);
    return access.value;
}

static void a_new_generation_is_an_event(void **state)
{
    static const struct uuid one = {{0x12, 0x3e, 0x45, 0x67, 0xe8, 0x9b, 0x12, 0xd3, 0xa4, 0x56,
                                     0x42, 0x66, 0x14, 0x17, 0x40, 0x0f}};
    static const struct uuid two = {{0x92}};
    struct access write = {.offset = MMIO_GENERATION, .size = 8, .write = true, .value = 1};
    vm.generation = one;
    vm_mmio_access(&vcpus[0], &write); // changes nothing
    assert_int_equal(read_memory(MMIO_GENERATION, 8), 0x12d3e89b123e4567);
    assert_int_equal(read_memory(MMIO_GENERATION + 8, 8), 0x0f401714664256a4);
    assert_int_equal(read_memory(MMIO_GENERATION + 14, 4), 0x0f40); // and nothing behind it
    assert_int_equal(read_memory(MMIO_GENERATION + 16, 4), UINT32_MAX);
    out(PORT_GPE0 + 2, 1, BIT32(GPE_GENERATION));
    struct access enable = {.offset = MMIO_LAPIC + 0xf0, .size = 4, .write = true, .value = 0x1ff};
    vm_mmio_access(&vcpus[0], &enable);
    redirect(IRQ_SCI, 0x8051);
    assert_int_not_equal(lapic_pending(&vcpus[0]), 0x51);
    board_renew_generation(&vm, &two);
    assert_int_equal(in(PORT_GPE0, 2), BIT32(GPE_GENERATION));
    assert_int_equal(read_memory(MMIO_GENERATION, 4), 0x92000000);
    assert_int_equal(lapic_pending(&vcpus[0]), 0x51);
    out(PORT_GPE0, 2, BIT32(GPE_GENERATION));
    assert_int_equal(in(PORT_GPE0, 2), 0);
    assert_false(board.pm.sci.level);
}

static void built_anew_it_is_as_after_power_on(void **state)
{
    start_timer();
    out(0x3ff, 1, 0x77);
    out(0xcf9, 1, 0x02);
    out(0x80, 1, 0x12);
    out(0x21, 1, 0xff);
    redirect(4, 0x54);
    assert_int_not_equal(vm.deadlines.first, NEVER);
    fresh_board(state);
    assert_int_equal(vm.deadlines.first, NEVER);
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
    struct access access = {.offset = MMIO_LAPIC + 0x30, .size = 4};
    vm_mmio_access(&vcpus[0], &access);
    assert_int_equal(access.value & 0xff, 0x14 | (access.value & 0x0f)); // an APIC's version
    assert_int_equal(access_counts_total(&vm.unclaimed_mmio), 0);
    access = (struct access){.offset = 0xfed00000, .size = 8};
    vm_mmio_access(&vcpus[0], &access);
    assert_int_equal(access.value, ~0ULL);
    assert_int_equal(access_counts_total(&vm.unclaimed_mmio), 1);
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
        cmocka_unit_test_setup(lines_of_one_input_are_ored, board_for_tests),
        cmocka_unit_test_setup(test_memory_is_memory, board_for_tests),
        cmocka_unit_test_setup(test_device_is_not_on_every_board, fresh_board),
        cmocka_unit_test_setup(lines_lead_to_their_ports, fresh_board),
        cmocka_unit_test_setup(debug_console_prints, board_for_tests),
        cmocka_unit_test_setup(power_button_needs_acpi, fresh_board),
        cmocka_unit_test_setup(a_new_generation_is_an_event, fresh_board),
        cmocka_unit_test_setup(built_anew_it_is_as_after_power_on, fresh_board),
        cmocka_unit_test_setup(mmio_knows_its_devices, fresh_board),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
