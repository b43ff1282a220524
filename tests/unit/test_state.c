// The tables of fields of all devices, and a board that is saved and loaded.
#include "support.h"

#include "drivers/virt/board.h"
#include "drivers/virt/board_report.h"
#include "drivers/virt/virtio/virtio_pci.h"
#include "tests/unit/marks.h"
#include "tests/unit/padding.h"
#include "vm/platform.h"

static struct side {
    struct vm vm;
    struct board board;
    uint8_t test_memory[MMIO_TEST_LENGTH];
    struct gmem rom;
    struct gmem_piece rom_piece[1];
    struct net_switch lan;
    struct net_port port;
    struct virtio_vsock_card vsock;
} one, other;
static uint8_t disk_bytes[64 << 10]; // nobody writes them
static uint8_t rom_bytes[8192];
#define ROM (HIGH_MEMORY_START - sizeof(rom_bytes))
static const struct block disk = {
    .name = "disk", .sectors = sizeof(disk_bytes) / BLOCK_SECTOR, .image = disk_bytes};
static struct vm_console full; // takes nothing: what is printed stays in the port
static uint8_t state_one[128 << 10], state_other[128 << 10];

static uint64_t wall_clock(struct vm *from)
{
    return 1700000000;
}

static void build(struct side *side)
{
    static const struct vm_host host = {.wall_clock = wall_clock};
    struct explanation why;
    memset(side, 0, sizeof(*side));
    side->vm.host = &host;
    side->vm.console[0] = side->vm.console[1] = &full;
    side->vm.traits.memory = 256 << 20;
    side->vm.traits.uart2 = side->vm.traits.testdev = side->vm.traits.rng =
        side->vm.traits.virtio_console = side->vm.traits.guest_agent = true;
    side->vm.traits.rng_rate = 1000;
    side->vm.traits.balloon = BALLOON_ON;
    gmem_init(&side->rom, side->rom_piece, 1);
    gmem_add(&side->rom, gpa(0), rom_bytes, sizeof(rom_bytes));
    side->vm.memory.rom.memory = &side->rom;
    side->vm.memory.rom.start = gpa(ROM);
    side->vm.memory.rom.size = sizeof(rom_bytes);
    side->lan.name = "lan";
    side->port = (struct net_port){.name = "net0", .mac = 0x563412005452};
    assert_int_equal(net_port_add(&side->lan, &side->port, &why), STATUS_OK);
    const struct board_parts parts = {.test_memory = side->test_memory,
                                      .disk = {&disk},
                                      .disk_count = 1,
                                      .port = {&side->port},
                                      .port_count = 1,
                                      .flash = 4096,
                                      .vsock = &side->vsock};
    assert_int_equal(board_build(&side->board, &side->vm, &parts, &why), STATUS_OK);
}

static int fresh(void **state)
{
    build(&one);
    build(&other);
    return 0;
}

// ---- tables ----

static const struct table {
    const struct vdev_class *class;
    void (*padding_of)(void *);
} tables[] = {
#define ROW(name) {&name##_class, (void (*)(void *))padding_of_##name},
    PADDED_STRUCTS(ROW)};

static void every_byte_of_a_device_has_a_name(void **state)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(tables); i++) {
        const struct vdev_class *class = tables[i].class;
        uint8_t *bytes = malloc(class->size);
        memset(bytes, 0xff, class->size);
        tables[i].padding_of(bytes);
        assert_each_byte_named(class->name, class->fields, bytes, class->size);
        free(bytes);
    }
}

static void every_device_of_a_board_is_looked_at(void **state)
{
    for (unsigned i = 0; i < one.board.device_count; i++) {
        bool is_listed = false;
        for (unsigned j = 0; j < ARRAY_LENGTH(tables); j++)
            is_listed |= tables[j].class == one.board.device[i]->class;
        if (!is_listed)
            fail_msg("%s: not in PADDED_STRUCTS", one.board.device[i]->name);
    }
}

// ---- save and load ----

static void out(struct side *side, uint16_t port, uint8_t size, uint32_t value)
{
    vm_port_access(
        &side->vm,
        &(struct access){
            .offset = port, .size = size, .value = value, .now = 5000000000, .write = true});
}

static uint32_t in(struct side *side, uint16_t port, uint8_t size)
{
    struct access access = {.offset = port, .size = size, .now = 6000000000};
    vm_port_access(&side->vm, &access);
    return (uint32_t)access.value;
}

static void use(struct side *side)
{
    out(side, PORT_PIC_MASTER, 1, 0x11);
    out(side, PORT_PIC_MASTER + 1, 1, 0x20);
    out(side, PORT_PIC_MASTER + 1, 1, 4);
    out(side, PORT_PIC_MASTER + 1, 1, 1);
    out(side, PORT_PIC_MASTER + 1, 1, 0);
    out(side, PORT_PIT + 3, 1, 0x34);
    out(side, PORT_PIT, 1, 0x9c);
    out(side, PORT_PIT, 1, 0x2e);
    out(side, PORT_RTC, 1, 0x50);
    out(side, PORT_RTC + 1, 1, 0xa7);
    out(side, PORT_COM1 + 1, 1, 0x0f);
    out(side, PORT_COM1, 1, 'x');
    out(side, PORT_TEST_DATA, 4, 0x12345678);
    out(side, PORT_PCI_ADDRESS, 4, 0x80000000);
    assert_true(board_uart_receive(&side->vm, 1, 'y'));
    bus_access(&side->vm.mmio,
               &(struct access){.offset = ROM, .size = 1, .value = 0x70, .write = true});
    vm_tick_devices(&side->vm, 5500000000);
}

static void a_loaded_board_is_the_same(void **state)
{
    struct explanation why;
    use(&one);
    size_t length = board_save(&one.vm, state_one, sizeof(state_one));
    assert_in_range(length, 1000, sizeof(state_one));
    assert_int_equal(board_save(&one.vm, NULL, 0), length);
    assert_int_equal(board_load(&other.vm, state_one, length, &why), STATUS_OK);
    assert_int_equal(board_save(&other.vm, state_other, sizeof(state_other)), length);
    assert_memory_equal(state_one, state_other, length);
    assert_int_equal(one.vm.deadlines.first, other.vm.deadlines.first);
    assert_int_not_equal(one.vm.deadlines.first, NEVER);
    static const uint16_t ports[] = {PORT_PIC_MASTER, PORT_PIC_MASTER + 1, PORT_PIT,
                                     PORT_PIT,        PORT_RTC + 1,        PORT_COM1 + 2,
                                     PORT_COM1 + 5,   PORT_COM2,           PORT_PM_TIMER};
    for (unsigned i = 0; i < ARRAY_LENGTH(ports); i++)
        assert_int_equal(in(&one, ports[i], 1), in(&other, ports[i], 1));
    assert_int_equal(in(&other, PORT_TEST_DATA, 4), 0x12345678);
    assert_int_equal(in(&other, PORT_PCI_DATA, 4), in(&one, PORT_PCI_DATA, 4));
    assert_int_equal(other.vm.memory.rom.hidden, 4096); // the flash shows its status
}

// A line that was up when it was saved falls with what its driver does after the load.
static void a_loaded_line_falls(void **state)
{
    (void)state;
    struct explanation why;
    struct virtio *device = &one.board.disk[0].virtio;
    device->isr = 1;
    virtio_drive_line(device);
    assert_int_equal(one.board.raised[IRQ_PCI_AB], 1);
    size_t length = board_save(&one.vm, state_one, sizeof(state_one));
    assert_int_equal(board_load(&other.vm, state_one, length, &why), STATUS_OK);
    assert_int_equal(other.board.raised[IRQ_PCI_AB], 1);
    struct access access = {.offset = PCI_MMIO_START + 0x1000, .size = 1};
    assert_true(bus_access(&other.vm.mmio, &access));
    assert_int_equal(access.value, 1);
    assert_int_equal(other.board.raised[IRQ_PCI_AB], 0);
    assert_false(other.board.ioapic.inputs & BIT32(IRQ_PCI_AB));
}

static void nothing_less_than_a_whole_state_is_taken(void **state)
{
    struct explanation why;
    use(&one);
    size_t length = board_save(&one.vm, state_one, sizeof(state_one));
    size_t fresh_length = board_save(&other.vm, state_other, sizeof(state_other));
    static uint8_t after[sizeof(state_other)];
    for (size_t cut = 0; cut < length; cut += cut < 2000 ? 1 : 97) {
        why.text[0] = '\0';
        assert_int_not_equal(board_load(&other.vm, state_one, cut, &why), STATUS_OK);
        assert_true(why.text[0]);
        assert_int_equal(board_save(&other.vm, after, sizeof(after)), fresh_length);
        assert_memory_equal(after, state_other, fresh_length);
    }
    state_one[length] = 0;
    assert_int_equal(board_load(&other.vm, state_one, length + 1, &why), STATUS_INVALID);
    assert_string_equal(why.text, "1 bytes behind the last device");
}

// Where a field's value begins in a saved state.
static uint8_t *value_of(const char *name, size_t length)
{
    size_t size = strlen(name);
    for (size_t at = 1; at + size < length; at++)
        if (state_one[at - 1] == size && memcmp(&state_one[at], name, size) == 0)
            return &state_one[at + size + 4];
    fail_msg("no field %s", name);
    return NULL;
}

static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *field;
        int at; // from its value
        uint8_t byte;
        const char *text;
    } wrongs[] = {
        {"lowest", 0, 8, "8259: lowest is 0x8: not 0x0 to 0x7"},
        {"initialised", 0, 2, "8259: initialised is 0x2: not 0x0 to 0x1"},
        {"mask", -5, 'x', "8259: another name stands where mask is expected"},
        {"mask", -4, 2, "8259: mask has 2 bytes: not 1"},
        {"mask", -1, 0x7f, NULL},
        {"chip", 3, 0xff, "8259: chip ends within element 0 of 2"},
        {"count", 2, 2, NULL},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(wrongs); i++) {
        struct explanation why;
        size_t length = board_save(&one.vm, state_one, sizeof(state_one));
        value_of(wrongs[i].field, length)[wrongs[i].at] = wrongs[i].byte;
        assert_int_not_equal(board_load(&other.vm, state_one, length, &why), STATUS_OK);
        if (wrongs[i].text)
            assert_string_equal(why.text, wrongs[i].text);
        assert_non_null(strstr(why.text, wrongs[i].field));
    }
}

static void a_later_version_is_refused(void **state)
{
    struct explanation why;
    size_t length = board_save(&one.vm, state_one, sizeof(state_one));
    state_one[1 + strlen("8259")]++;
    assert_int_equal(board_load(&other.vm, state_one, length, &why), STATUS_UNSUPPORTED);
    assert_string_equal(why.text, "8259: its state has version 1, we know 0: update");
}

// ---- versions, by a table of our own ----

struct grown {
    uint16_t first;
    uint32_t second;
};
static const struct field first_fields[] = {FIELD(struct grown, first), {0}};
static const struct field second_fields[] = {
    FIELD(struct grown, first), FIELD_SINCE(struct grown, second, 1), {0}};

static void an_older_state_leaves_what_it_does_not_know(void **state)
{
    struct grown was = {.first = 7}, is = {.first = 1, .second = 9};
    size_t length = fields_save(first_fields, &was, state_one, sizeof(state_one));
    assert_int_equal(fields_load(second_fields, &is, 0, state_one, length, true, "grown", NULL),
                     STATUS_OK);
    assert_int_equal(is.first, 7);
    assert_int_equal(is.second, 9);
    assert_int_equal(fields_load(second_fields, &is, 1, state_one, length, true, "grown", NULL),
                     STATUS_TRUNCATED);
}

// ---- print ----

static char text[64 << 10];
static size_t text_length;

static void collect(struct printer *to, const char *from, size_t length)
{
    assert_true(text_length + length < sizeof(text));
    memcpy(text + text_length, from, length);
    text_length += length;
}

static void fields_are_printed_by_name(void **state)
{
    struct printer printer = {collect};
    text_length = 0;
    memset(text, 0, sizeof(text));
    use(&one);
    board_report_devices(&printer, &one.vm);
    assert_non_null(strstr(text, "dev: 16550A, \"COM2\"\n"));
    assert_non_null(strstr(text, "  chip[0].vector_base = 0x20\n"));
    assert_non_null(strstr(text, "  chip[0].initialised = true\n"));
    assert_non_null(strstr(text, "  channel[0].count = 0x2e9c\n"));
    assert_non_null(strstr(text, "  dma[0].address = 0000 0000 0000 0000\n"));
    assert_non_null(strstr(text, " ... (256)\n"));
}

static void functions_are_printed_as_qemu_has_them(void **state)
{
    struct printer printer = {collect};
    text_length = 0;
    memset(text, 0, sizeof(text));
    board_report_pci(&printer, &one.vm);
    assert_non_null(strstr(text, "  Bus  0, device   0, function 0:\n"
                                 "    Class 0600: PCI device 8086:0d57\n"));
    assert_non_null(strstr(text, "  Bus  0, device   4, function 0:\n"
                                 "    Class 0180: PCI device 1af4:1042\n"
                                 "      PCI subsystem 1af4:1100\n"
                                 "      IRQ 10, pin A\n"
                                 "      BAR0: 32 bit memory at 0xc0000000 [0xc0003fff].\n"
                                 "      BAR1: 32 bit memory at 0xc0004000 [0xc0004fff].\n"
                                 "      BAR2: I/O at 0xd000 [0xd07f].\n"
                                 "      id \"disk0\"\n"));
}

// ---- reset ----

static void reset_is_power_on(void **state)
{
    use(&one);
    for (unsigned i = 0; i < one.board.device_count; i++)
        if (one.board.device[i] != &one.board.rtc.device) // whose memory the board fills
            vdev_reset(one.board.device[i]);
    for (unsigned i = 0; i < one.board.device_count; i++) {
        if (one.board.device[i] == &one.board.rtc.device)
            continue;
        size_t length = vdev_save(one.board.device[i], state_one, sizeof(state_one));
        assert_int_equal(vdev_save(other.board.device[i], state_other, sizeof(state_other)),
                         length);
        assert_memory_equal(state_one, state_other, length);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_byte_of_a_device_has_a_name, fresh),
        cmocka_unit_test_setup(every_device_of_a_board_is_looked_at, fresh),
        cmocka_unit_test_setup(a_loaded_board_is_the_same, fresh),
        cmocka_unit_test_setup(a_loaded_line_falls, fresh),
        cmocka_unit_test_setup(nothing_less_than_a_whole_state_is_taken, fresh),
        cmocka_unit_test_setup(what_is_wrong_is_named, fresh),
        cmocka_unit_test_setup(a_later_version_is_refused, fresh),
        cmocka_unit_test_setup(an_older_state_leaves_what_it_does_not_know, fresh),
        cmocka_unit_test_setup(fields_are_printed_by_name, fresh),
        cmocka_unit_test_setup(functions_are_printed_as_qemu_has_them, fresh),
        cmocka_unit_test_setup(reset_is_power_on, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
