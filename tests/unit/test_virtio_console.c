// drivers/virt/virtio/virtio_console.c: a console and a named port, by what their drivers see, and
// the lines behind them.
#include "tests/unit/virtio_driver.h"

#include "drivers/virt/virtio/virtio_console.h"

#define MULTIPORT  BIT(1)
#define LINE_BYTES 64
#define NAME       "org.qemu.guest_agent.0"

static struct virtio_console console;
static struct vm_console out;
static uint8_t out_bytes[LINE_BYTES];

static void describe_console(void)
{
    virtio_console_describe(&console, LINE_VIRTIO, NULL);
}

static void describe_port(void)
{
    virtio_console_describe(&console, LINE_AGENT, NAME);
}

static void plug(void (*describe_it)(void), unsigned at)
{
    plug_driver(&console.virtio, &virtio_console_class, describe_it);
    memset(&out, 0, sizeof(out));
    ring_init(&out.printed, out_bytes, LINE_BYTES);
    vm.console[at] = &out;
}

static int a_console(void **state)
{
    plug(describe_console, LINE_VIRTIO);
    drive(VIRTIO_F_ALL | BIT(0), 2);
    return 0;
}

static int a_port(void **state)
{
    plug(describe_port, LINE_AGENT);
    drive(VIRTIO_F_ALL | MULTIPORT, 6);
    return 0;
}

// ---- the line's side ----

static const char *read_line(void)
{
    static char text[4096];
    size_t length = 0;
    for (int byte; (byte = ring_get(&out.printed)) >= 0;)
        text[length++] = (char)byte;
    text[length] = 0;
    if (out.is_held) {
        out.is_held = false;
        virtio_console_flush(&console);
    }
    return text;
}

// ---- the driver's ----

static void print(unsigned queue, unsigned number, const char *text)
{
    memcpy(ram + BUFFERS + 0x1000 * number, text, strlen(text));
    describe(queue, number, BUFFERS + 0x1000 * number, (uint32_t)strlen(text), 0, 0);
    offer(queue, number);
}

static void offer_buffer(unsigned queue, unsigned number, uint32_t bytes)
{
    describe(queue, number, BUFFERS + 0x10000 * (queue + 1) + 0x1000 * number, bytes, WRITE, 0);
    offer(queue, number);
}

static const char *buffer(unsigned queue, unsigned number)
{
    return (const char *)ram + BUFFERS + 0x10000 * (queue + 1) + 0x1000 * number;
}

static void control(uint32_t id, uint16_t event, uint16_t value)
{
    unsigned number = available(3)[1] % QUEUE_SIZE;
    const uint16_t message[4] = {(uint16_t)id, (uint16_t)(id >> 16), event, value};
    memcpy(ram + BUFFERS + 0x80000, message, sizeof(message));
    describe(3, number, BUFFERS + 0x80000, 8, 0, 0);
    offer(3, number);
    notify(3);
}

static void assert_message(unsigned number, uint16_t event, const char *name)
{
    const char *message = buffer(2, number);
    const uint16_t wanted[4] = {1, 0, event, 1};
    assert_int_equal(used_element(2, number)[1], 8 + strlen(name));
    assert_memory_equal(message, wanted, 8);
    assert_memory_equal(message + 8, name, strlen(name));
}

// ---- a console ----

static void it_is_a_console_of_one_port(void **state)
{
    assert_int_equal(pci_register(0, false, 0), 0x10431af4);
    assert_int_equal(get(0x12, 2), 2); // queues
    set(0x00, 4, 0);
    assert_int_equal(get(0x04, 4) & 7, 5); // SIZE and EMERG_WRITE, for MULTIPORT is not needed
    assert_int_equal(get(0x2004, 4), 1);
}

static void what_is_written_comes_out(void **state)
{
    print(1, 0, "one ");
    print(1, 1, "two");
    notify(1);
    assert_string_equal(read_line(), "one two");
    assert_int_equal(used(1)[1], 2);
    assert_int_equal(used_element(1, 0)[1], 0); // nothing is written to the guest
    assert_int_equal(rises, 1);
    assert_true(virtio_console_is_idle(&console));
}

static void a_full_line_holds_its_own_queue(void **state)
{
    char text[3 * LINE_BYTES + 1] = "", all[4 * LINE_BYTES] = "";
    for (unsigned i = 0; i < 3 * LINE_BYTES; i++)
        text[i] = (char)('a' + i % 26);
    print(1, 0, text);
    print(1, 1, "!");
    notify(1);
    assert_int_equal(used(1)[1], 0);
    assert_int_equal(vm.deadlines.first, NEVER); // nothing is done while nothing can be
    assert_false(virtio_console_is_idle(&console));
    for (unsigned i = 0; i < 4; i++) {
        strcat(all, read_line());
        tick_until_quiet();
    }
    assert_memory_equal(all, text, 3 * LINE_BYTES);
    assert_string_equal(all + 3 * LINE_BYTES, "!");
    assert_int_equal(used(1)[1], 2);
    assert_true(virtio_console_is_idle(&console));
}

// The bytes that wait are the guest's, who takes them away.
static void a_chain_that_waits_is_walked_again(void **state)
{
    char text[3 * LINE_BYTES + 1] = "";
    memset(text, 'x', 3 * LINE_BYTES);
    print(1, 0, text);
    notify(1);
    descriptors(1)[0].length = LINE_BYTES / 2; // shorter than what is out
    read_line();
    tick_until_quiet();
    assert_true(needs_reset());
    a_console(state);
    print(1, 0, text);
    notify(1);
    read_line();
    descriptors(1)[0].at = RAM_BYTES;
    tick_until_quiet();
    assert_true(needs_reset());
    assert_true(virtio_console_is_idle(&console));
    a_console(state);
    print(1, 0, "again");
    notify(1);
    assert_string_equal(read_line(), "again");
}

// 256 chains of 4 KiB are no one's exit.
static void a_piece_of_work_is_bounded(void **state)
{
    static uint8_t room[1 << 20];
    (void)state;
    ring_init(&out.printed, room, sizeof(room));
    for (unsigned i = 0; i < QUEUE_SIZE; i++) {
        describe(1, i, BUFFERS + 0x10000 * i, 0x10000, 0, 0);
        offer(1, i);
    }
    notify(1);
    assert_in_range(ring_used(&out.printed), 1, 0x10000);
    assert_false(virtio_console_is_idle(&console));
    tick_until_quiet();
    assert_int_equal(used(1)[1], QUEUE_SIZE);
    assert_int_equal(ring_used(&out.printed), QUEUE_SIZE * 0x10000);
    for (unsigned i = 0; i < 2; i++) { // just a piece each: nothing is half done in between
        describe(1, i, BUFFERS, 16384 - 256, 0, 0);
        offer(1, i);
    }
    notify(1);
    assert_int_equal(used(1)[1], QUEUE_SIZE + 1);
    assert_false(virtio_console_is_idle(&console));
    tick_until_quiet();
    assert_true(virtio_console_is_idle(&console));
}

// Of a chain that costs more than a piece of work, each piece moves something.
static void a_chain_of_many_descriptors_gets_on(void **state)
{
    struct driver_descriptor *table = (struct driver_descriptor *)(ram + 0x80000);
    for (unsigned i = 0; i < 200; i++)
        table[i] = (struct driver_descriptor){BUFFERS, 1, i < 199, (uint16_t)(i + 1)};
    describe(1, 0, 0x80000, 200 * sizeof(*table), INDIRECT, 0);
    offer(1, 0);
    notify(1);
    for (unsigned i = 0; i < 20; i++, read_line())
        tick_until_quiet();
    assert_int_equal(used(1)[1], 1);
}

static void what_is_typed_goes_into_buffers(void **state)
{
    (void)state;
    assert_true(virtio_console_is_open(&console));
    assert_int_equal(virtio_console_receive(&console, (const uint8_t *)"lost?", 5), 0);
    offer_buffer(0, 0, 4);
    offer_buffer(0, 1, 100);
    notify(0);
    assert_int_equal(virtio_console_receive(&console, (const uint8_t *)"reboot\r", 7), 7);
    assert_int_equal(used(0)[1], 2);
    assert_int_equal(used_element(0, 0)[1], 4);
    assert_memory_equal(buffer(0, 0), "rebo", 4);
    assert_int_equal(used_element(0, 1)[1], 3);
    assert_memory_equal(buffer(0, 1), "ot\r", 3);
    assert_int_equal(rises, 1);
    offer_buffer(0, 2, 1);
    assert_int_equal(virtio_console_receive(&console, (const uint8_t *)"xy", 2), 1);
    set(0x14, 1, 0);
    assert_false(virtio_console_is_open(&console));
    assert_int_equal(virtio_console_receive(&console, (const uint8_t *)"y", 1), 0);
}

static void a_buffer_that_takes_nothing_needs_a_reset(void **state)
{
    (void)state;
    describe(0, 0, BUFFERS, 16, 0, 0); // to be read
    offer(0, 0);
    assert_int_equal(virtio_console_receive(&console, (const uint8_t *)"x", 1), 0);
    assert_true(needs_reset());
}

static void an_emergency_is_heard_before_set_up(void **state)
{
    (void)state;
    plug(describe_console, LINE_VIRTIO);
    set(0x2008, 4, 'A');
    set(0x2008, 1, 'B');
    set(0x2004, 4, 'C'); // not there
    assert_string_equal(read_line(), "AB");
    for (unsigned i = 0; i < LINE_BYTES + 3; i++)
        set(0x2008, 4, '.');
    assert_int_equal(console.lost, 3);
    assert_int_equal(strlen(read_line()), LINE_BYTES);
}

static void its_size_is_told(void **state)
{
    (void)state;
    uint64_t before = get(0x15, 1);
    assert_int_equal(get(0x2000, 4), 0); // nobody knows yet
    virtio_console_resize(&console, 132, 43);
    assert_int_equal(get(0x2000, 2), 132);
    assert_int_equal(get(0x2002, 2), 43);
    assert_int_not_equal(get(0x15, 1), before);
    assert_int_equal(get(0x1000, 1), 2); // a change of the configuration
    virtio_console_resize(&console, 132, 43);
    assert_int_equal(get(0x1000, 1), 0);
}

// ---- a port ----

static void a_port_is_introduced(void **state)
{
    (void)state;
    set(0x00, 4, 0);
    assert_int_equal(get(0x04, 4) & 7, 2);
    assert_int_equal(get(0x12, 2), 6);
    assert_int_equal(get(0x2004, 4), 2);
    control(UINT32_MAX, 0, 1); // DEVICE_READY
    assert_int_equal(used(2)[1], 0);
    offer_buffer(2, 0, 64); // it waited for one
    notify(2);
    assert_int_equal(used(2)[1], 1);
    assert_message(0, 1, ""); // ADD
    offer_buffer(2, 1, 64);
    offer_buffer(2, 2, 64);
    control(1, 3, 1); // PORT_READY
    assert_int_equal(used(2)[1], 3);
    assert_message(1, 6, ""); // OPEN
    assert_message(2, 7, NAME);
    assert_int_equal(used(3)[1], 2);
}

static void a_port_is_open_as_long_as_somebody_has_it(void **state)
{
    (void)state;
    assert_false(virtio_console_is_open(&console));
    offer_buffer(4, 0, 64);
    assert_int_equal(virtio_console_receive(&console, (const uint8_t *)"x", 1), 0);
    control(0, 6, 1); // another port
    assert_false(virtio_console_is_open(&console));
    control(1, 6, 1);
    assert_true(virtio_console_is_open(&console));
    assert_int_equal(virtio_console_receive(&console, (const uint8_t *)"hello", 5), 5);
    assert_memory_equal(buffer(4, 0), "hello", 5);
    print(5, 0, "{}\n");
    notify(5);
    assert_string_equal(read_line(), "{}\n");
    control(1, 6, 0);
    assert_false(virtio_console_is_open(&console));
    control(1, 6, 1);
    drive(VIRTIO_F_ALL | MULTIPORT, 6); // anew
    assert_false(virtio_console_is_open(&console));
}

static void what_is_no_message_changes_nothing(void **state)
{
    (void)state;
    offer_buffer(2, 0, 64);
    static const struct {
        uint32_t id;
        uint16_t event, value;
    } cases[] = {{1, 0, 0}, {1, 1, 1}, {7, 3, 1}, {1, 5, 1}, {1, 99, 1}, {1, 3, 0}, {2, 6, 1}};
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++)
        control(cases[i].id, cases[i].event, cases[i].value);
    describe(3, 7, BUFFERS, 7, 0, 0); // too short
    offer(3, 7);
    notify(3);
    assert_int_equal(used(3)[1], ARRAY_LENGTH(cases) + 1);
    assert_int_equal(used(2)[1], 0);
    assert_false(needs_reset());
    assert_false(virtio_console_is_open(&console));
}

static void a_short_buffer_for_messages_needs_a_reset(void **state)
{
    (void)state;
    offer_buffer(2, 0, 8);
    control(UINT32_MAX, 0, 1); // ADD has eight bytes
    assert_message(0, 1, "");
    offer_buffer(2, 1, 8);
    offer_buffer(2, 2, 12); // NAME has more
    control(1, 3, 1);
    assert_true(needs_reset());
}

// Port 0 is there for a driver without MULTIPORT, and leads nowhere.
static void without_multiport_nobody_hears(void **state)
{
    (void)state;
    drive(VIRTIO_F_ALL, 4);
    print(1, 0, "hello?");
    notify(1);
    assert_int_equal(used(1)[1], 1);
    assert_string_equal(read_line(), "");
    assert_int_equal(console.lost, 6);
    control(UINT32_MAX, 0, 1); // no queue of its
    assert_int_equal(used(3)[1], 0);
}

static void a_loaded_state_goes_on(void **state)
{
    static uint8_t bytes[32 << 10];
    struct explanation why;
    char text[2 * LINE_BYTES + 1] = "", all[3 * LINE_BYTES] = "";
    (void)state;
    control(1, 6, 1);
    memset(text, 'x', 2 * LINE_BYTES);
    print(5, 0, text);
    notify(5);
    size_t length = vdev_save(&console.virtio.device, bytes, sizeof(bytes));
    struct section_input input = {bytes, length};
    assert_in_range(length, 100, sizeof(bytes));
    assert_int_equal(vdev_load(&console.virtio.device, &input, true, &why), STATUS_OK);
    vdev_loaded(&console.virtio.device);
    assert_true(virtio_console_is_open(&console));
    strcat(all, read_line());
    out.is_held = false; // nobody says that there is room: a line of its new place always has some
    assert_true(vdev_load(&console.virtio.device, &(struct section_input){bytes, length}, true,
                          &why) == STATUS_OK);
    vdev_loaded(&console.virtio.device);
    tick_until_quiet();
    for (unsigned i = 0; i < 3; i++) {
        strcat(all, read_line());
        tick_until_quiet();
    }
    assert_string_equal(all, text);
    assert_int_equal(used(5)[1], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_is_a_console_of_one_port, a_console),
        cmocka_unit_test_setup(what_is_written_comes_out, a_console),
        cmocka_unit_test_setup(a_full_line_holds_its_own_queue, a_console),
        cmocka_unit_test_setup(a_chain_that_waits_is_walked_again, a_console),
        cmocka_unit_test_setup(a_piece_of_work_is_bounded, a_console),
        cmocka_unit_test_setup(a_chain_of_many_descriptors_gets_on, a_console),
        cmocka_unit_test_setup(what_is_typed_goes_into_buffers, a_console),
        cmocka_unit_test_setup(a_buffer_that_takes_nothing_needs_a_reset, a_console),
        cmocka_unit_test_setup(an_emergency_is_heard_before_set_up, a_console),
        cmocka_unit_test_setup(its_size_is_told, a_console),
        cmocka_unit_test_setup(a_port_is_introduced, a_port),
        cmocka_unit_test_setup(a_port_is_open_as_long_as_somebody_has_it, a_port),
        cmocka_unit_test_setup(what_is_no_message_changes_nothing, a_port),
        cmocka_unit_test_setup(a_short_buffer_for_messages_needs_a_reset, a_port),
        cmocka_unit_test_setup(without_multiport_nobody_hears, a_port),
        cmocka_unit_test_setup(a_loaded_state_goes_on, a_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
