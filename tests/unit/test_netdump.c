// control/netdump.c: what passes a port is kept as pcap has it, up to the ring's size, and printed
// once. The file under test is part of the machine half; only its memory comes from elsewhere.

#include "tests/unit/support.h"

#include "mm/tables/frames.h"

static uint8_t ring_memory[256 << 10];
static bool has_memory;

static void *take(uint64_t size)
{
    assert_true(size <= sizeof(ring_memory));
    return has_memory ? ring_memory : NULL;
}
#define frames_allocate(size, alignment, owner) take(size)

static unsigned given_back;
#define frames_free(start, size, owner) given_back++

#include "control/netdump.c"

static char text[1 << 20];
static size_t used;

static void write_text(struct printer *to, const char *bytes, size_t length)
{
    assert_true(used + length < sizeof(text));
    memcpy(text + used, bytes, length);
    used += length;
    text[used] = 0;
}

static const char *show(struct netdump *dump)
{
    struct printer to = {write_text};
    used = 0;
    text[0] = 0;
    netdump_print(&to, dump, "web.net0");
    return text;
}

static struct net_port port;
static struct netdump dump;

static int begin(void **state)
{
    memset(&port, 0, sizeof(port));
    memset(&dump, 0, sizeof(dump));
    memset(ring_memory, 0xa5, sizeof(ring_memory));
    has_memory = true;
    given_back = 0;
    assert_int_equal(netdump_switch(&dump, &port, true), STATUS_OK);
    return 0;
}

// As the switch does it.
static void pass(uint32_t bytes, uint8_t first)
{
    struct net_packet packet = {.head = bytes};
    uint8_t header[NET_PCAP_RECORD];
    assert_true(bytes <= NET_HEAD);
    for (uint32_t i = 0; i < bytes; i++)
        packet.bytes[i] = (uint8_t)(first + i);
    net_pcap_record(header, UINT64_C(1700000000123456789), bytes, bytes);
    if (port.capture)
        port.capture->record(port.capture, header, &packet, bytes);
}

// The bytes that the digits between the two lines stand for.
static size_t bytes_of(const char *shown, uint8_t *bytes)
{
    const char *at = strchr(shown, '\n');
    size_t count = 0;
    assert_memory_equal(shown, "--- begin web.net0.pcap ---\n", 28);
    while (at[1] != '-') {
        unsigned byte;
        at++;
        for (size_t line = 0; *at != '\n'; at += 2, line++) {
            assert_true(line < 32 && sscanf(at, "%2x", &byte) == 1);
            bytes[count++] = (uint8_t)byte;
        }
    }
    return count;
}

static void frames_become_a_file(void **state)
{
    static uint8_t bytes[4096];
    pass(60, 1);
    pass(100, 7);
    size_t count = bytes_of(show(&dump), bytes);
    assert_int_equal(count, 24 + 16 + 60 + 16 + 100);
    assert_memory_equal(bytes, "\x4d\x3c\xb2\xa1\2\0\4\0", 8); // nanoseconds
    assert_memory_equal(bytes + 20, "\1\0\0\0", 4);            // Ethernet
    assert_int_equal(bytes[24 + 8], 60);                       // captured
    assert_int_equal(bytes[24 + 12], 60);
    assert_int_equal(bytes[24 + 16], 1);
    assert_int_equal(bytes[24 + 16 + 59], 60);
    assert_int_equal(bytes[24 + 16 + 60 + 8], 100);
    assert_int_equal(bytes[count - 1], 106);
    assert_non_null(
        strstr(text, "--- end web.net0.pcap: 0 bytes are left, 0 frames were lost ---\n"));
    assert_string_equal(show(&dump), "web.net0: nothing was captured\n"); // once
}

static void what_finds_no_room_is_counted(void **state)
{
    const unsigned room = sizeof(ring_memory) / (16 + 240);
    for (unsigned i = 0; i < room + 5; i++)
        pass(240, 0);
    struct printer to = {write_text};
    used = 0;
    netdump_print_state(&to, &dump);
    char expected[200];
    snprintf(expected, sizeof(expected),
             " \\ netdump on: %u frames, %u bytes to be shown, 5 frames lost\n", room, room * 256);
    assert_string_equal(text, expected);
}

static void a_long_capture_is_shown_in_parts(void **state)
{
    static uint8_t bytes[1 << 17];
    unsigned parts = 0, frames = 0;
    // Round the ring's end, too.
    for (unsigned round = 0; round < 30; round++) {
        for (unsigned i = 0; i < 200; i++)
            pass(200, (uint8_t)i);
        for (unsigned next = 0; strcmp(show(&dump), "web.net0: nothing was captured\n") != 0;
             parts++) {
            size_t count = bytes_of(text, bytes);
            assert_true(count <= 24 + PRINT_BYTES + 216 && (count - 24) % 216 == 0);
            for (size_t at = 24; at < count; at += 216, frames++)
                assert_int_equal(bytes[at + 16], (uint8_t)next++);
        }
    }
    assert_int_equal(frames, 30 * 200);
    assert_int_equal(parts, 30 * 3);
    assert_int_equal(dump.lost, 0);
}

static void a_capture_ends_and_begins_anew(void **state)
{
    static uint8_t bytes[4096];
    pass(60, 1);
    assert_int_equal(netdump_switch(&dump, &port, false), STATUS_OK);
    pass(60, 2);
    assert_int_equal(given_back, 0);
    assert_int_equal(bytes_of(show(&dump), bytes), 24 + 16 + 60); // the one before the end
    assert_int_equal(given_back, 1);
    assert_int_equal(netdump_switch(&dump, &port, true), STATUS_OK);
    pass(61, 3);
    assert_int_equal(netdump_switch(&dump, &port, true), STATUS_OK);
    pass(62, 4);
    assert_int_equal(bytes_of(show(&dump), bytes), 24 + 16 + 62);
    assert_int_equal(given_back, 1);
    assert_int_equal(netdump_switch(&dump, &port, false), STATUS_OK);
    assert_int_equal(given_back, 2);
}

static void without_memory_there_is_none(void **state)
{
    memset(&dump, 0, sizeof(dump));
    has_memory = false;
    assert_int_equal(netdump_switch(&dump, &port, true), STATUS_NO_MEMORY);
    assert_null(port.capture);
    assert_string_equal(show(&dump), "web.net0: nothing was captured\n");
    assert_int_equal(netdump_switch(&dump, &port, false), STATUS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(frames_become_a_file, begin),
        cmocka_unit_test_setup(what_finds_no_room_is_counted, begin),
        cmocka_unit_test_setup(a_long_capture_is_shown_in_parts, begin),
        cmocka_unit_test_setup(a_capture_ends_and_begins_anew, begin),
        cmocka_unit_test_setup(without_memory_there_is_none, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
