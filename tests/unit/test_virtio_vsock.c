// drivers/virt/virtio/virtio_vsock.c: packets in queues, and what becomes of connections.
#include "tests/unit/virtio_driver.h"

#include "drivers/virt/virtio/virtio_vsock.h"

#define CID     9
#define RING    256
#define SERVICE 7
#define HEADER  sizeof(struct vsock_header)
#define SECOND  UINT64_C(1000000000)

enum { RECEIVE, TRANSMIT, EVENT };

static struct virtio_vsock device;
static struct vsock vsock;
static struct stream stream;
static uint8_t bytes[2 * RING];
static bool is_roused, is_released, is_taken;
static struct stream_end *const end = &stream.end[1]; // Corbel's

static void release(struct stream *which)
{
    assert_ptr_equal(which, &stream);
    is_released = true;
}

static void wake(struct stream_end *which)
{
    assert_ptr_equal(which, end);
}

static struct stream_end *make(void)
{
    assert_false(is_taken);
    is_taken = true;
    stream_init(&stream, bytes, RING, release);
    stream_own(end, wake, NULL);
    return &stream.end[0];
}

static struct stream_end *ask(struct vsock *of, uint32_t port, uint32_t guest_port)
{
    (void)of, (void)guest_port;
    return port == SERVICE ? make() : NULL;
}

static void rouse(struct vsock *of)
{
    assert_ptr_equal(of, &vsock);
    is_roused = true;
}

static void describe_vsock(void)
{
    static const struct vsock_host host = {ask, rouse};
    memset(&vsock, 0, sizeof(vsock));
    vsock.host = &host;
    vsock.cid = CID;
    virtio_vsock_describe(&device, &vsock);
}

static int driven(void **state)
{
    (void)state;
    is_roused = is_released = is_taken = false;
    plug_driver(&device.virtio, &virtio_vsock_class, describe_vsock);
    drive(VIRTIO_F_VERSION_1 | 1, 3);
    return 0;
}

// A buffer to receive into, of so many bytes in two pieces.
static uint64_t post(unsigned number_of, uint32_t length)
{
    uint64_t at = BUFFERS + 0x2000 * number_of;
    describe(RECEIVE, 2 * number_of, at, HEADER, WRITE | NEXT, 2 * number_of + 1);
    describe(RECEIVE, 2 * number_of + 1, at + HEADER, length - HEADER, WRITE, 0);
    offer(RECEIVE, 2 * number_of);
    notify(RECEIVE);
    return at;
}

static struct vsock_header packet(unsigned operation)
{
    return (struct vsock_header){.from_cid = CID,
                                 .to_cid = VSOCK_HOST,
                                 .from_port = 1000,
                                 .to_port = SERVICE,
                                 .type = VSOCK_STREAM,
                                 .operation = (uint16_t)operation,
                                 .room = 4096};
}

static void put_packet(const struct vsock_header *header, const char *text, uint32_t length)
{
    memcpy(ram + BUFFERS + 0x20000, header, HEADER);
    memcpy(ram + BUFFERS + 0x21000, text, length);
    describe(TRANSMIT, 0, BUFFERS + 0x20000, HEADER, length ? NEXT : 0, 1);
    describe(TRANSMIT, 1, BUFFERS + 0x21000, length, 0, 0);
    offer(TRANSMIT, 0);
    notify(TRANSMIT);
}

static void say(unsigned operation)
{
    struct vsock_header header = packet(operation);
    put_packet(&header, "", 0);
}

static void send(const char *text, uint32_t length)
{
    struct vsock_header header = packet(VSOCK_RW);
    header.length = length;
    put_packet(&header, text, length);
}

static struct vsock_header *header_at(uint64_t at)
{
    return (struct vsock_header *)(ram + at);
}

static uint64_t now;

static void tick(void)
{
    vm_tick_devices(&vm, ++now);
}

static void connect(void)
{
    uint64_t at = post(3, 4096);
    say(VSOCK_REQUEST);
    tick();
    assert_int_equal(header_at(at)->operation, VSOCK_RESPONSE);
    assert_int_equal(used(TRANSMIT)[1], 1);
    assert_int_equal(used_element(RECEIVE, 0)[1], HEADER);
}

static void it_is_a_socket_device(void **state)
{
    (void)state;
    assert_int_equal(pci_register(0, false, 0), 0x10531af4);
    assert_int_equal(get(0x12, 2), 3); // queues
    assert_int_equal(get(0x2000, 4), CID);
    assert_int_equal(get(0x2004, 4), 0);
    set(0x2000, 4, 1);
    assert_int_equal(get(0x2000, 4), CID);
    assert_false(negotiate(VIRTIO_F_VERSION_1 | 2)); // no SEQPACKET
}

static void bytes_go_both_ways(void **state)
{
    uint8_t heard[8];
    (void)state;
    connect();
    send("ask", 3);
    assert_int_equal(stream_take(end, heard, 8), 3);
    assert_memory_equal(heard, "ask", 3);
    uint64_t at = post(0, 4096);
    tick();
    assert_int_equal(used(RECEIVE)[1], 1);
    assert_int_equal(stream_give(end, "answer", 6), 6);
    assert_true(is_roused);
    virtio_vsock_look(&device);
    tick();
    assert_int_equal(used(RECEIVE)[1], 2);
    assert_int_equal(used_element(RECEIVE, 1)[1], HEADER + 6);
    assert_int_equal(header_at(at)->operation, VSOCK_RW);
    assert_int_equal(header_at(at)->length, 6);
    assert_int_equal(header_at(at)->taken, 3);
    assert_memory_equal(ram + at + HEADER, "answer", 6);
    assert_int_equal(vm.deadlines.first, NEVER);
}

// What has no buffer waits for one; a small one has a part.
static void a_driver_that_is_slow_gets_everything(void **state)
{
    (void)state;
    static const char text[] = "in three parts";
    connect();
    assert_int_equal(stream_give(end, text, 14), 14);
    virtio_vsock_look(&device);
    tick();
    assert_int_equal(vm.deadlines.first, NEVER);
    for (unsigned i = 0; i < 3; i++) {
        uint64_t at = post(i, HEADER + 5);
        tick();
        assert_int_equal(header_at(at)->length, i < 2 ? 5 : 4);
        assert_memory_equal(ram + at + HEADER, &text[5 * i], i < 2 ? 5 : 4);
    }
}

// Answers to packets of no connection: 32 wait for buffers, and then the packets do.
static void packets_wait_for_their_answers(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VSOCK_REFUSALS + 2; i++)
        say(VSOCK_RW);
    assert_int_equal(used(TRANSMIT)[1], VSOCK_REFUSALS);
    for (unsigned i = 0; i < VSOCK_REFUSALS + 2; i++) {
        uint64_t at = post(i % 4, 4096);
        tick_until_quiet();
        assert_int_equal(used(RECEIVE)[1], i + 1);
        assert_int_equal(header_at(at)->operation, VSOCK_RST);
    }
    assert_int_equal(used(TRANSMIT)[1], VSOCK_REFUSALS + 2);
}

static void a_call_reaches_the_guest(void **state)
{
    (void)state;
    uint64_t at = post(0, 4096);
    assert_true(virtio_vsock_call(&device, make(), 22, 0));
    tick();
    assert_int_equal(header_at(at)->operation, VSOCK_REQUEST);
    assert_int_equal(header_at(at)->to_port, 22);
    vm_tick_devices(&vm, 2 * SECOND - 1);
    assert_false(stream_is_unheard(end));
    vm_tick_devices(&vm, 2 * SECOND);
    assert_true(stream_is_unheard(end));
    at = post(1, 4096);
    vm_tick_devices(&vm, 3 * SECOND);
    assert_int_equal(header_at(at)->operation, VSOCK_RST);
    set(0x14, 1, 0);
    assert_false(virtio_vsock_call(&device, NULL, 22, 0)); // nobody is there
}

static void a_reset_closes_everything(void **state)
{
    (void)state;
    connect();
    send("last", 4);
    set(0x14, 1, 0);
    assert_int_equal(vsock.open, 0);
    assert_true(stream_is_unheard(end));
    assert_false(stream_is_at_end(end)); // "last" is there
    stream_close(end);
    assert_true(is_released);
}

// Where the connections led was in another life: the driver is told.
static void a_loaded_state_has_no_connections(void **state)
{
    static uint8_t saved[32 << 10];
    struct explanation why;
    (void)state;
    connect();
    size_t length = vdev_save(&device.virtio.device, saved, sizeof(saved));
    struct section_input input = {saved, length};
    assert_int_equal(vdev_load(&device.virtio.device, &input, true, &why), STATUS_OK);
    vdev_loaded(&device.virtio.device);
    assert_int_equal(vsock.open, 0);
    assert_true(stream_is_unheard(end));
    tick();
    assert_int_equal(used(EVENT)[1], 0); // no buffer yet
    memset(ram + BUFFERS, 0xee, 8);
    describe(EVENT, 0, BUFFERS, 8, WRITE, 0);
    offer(EVENT, 0);
    notify(EVENT);
    assert_int_equal(used(EVENT)[1], 1);
    assert_int_equal(used_element(EVENT, 0)[1], 4);
    assert_int_equal(*(uint32_t *)(ram + BUFFERS), 0);
    describe(EVENT, 1, BUFFERS, 8, WRITE, 0);
    offer(EVENT, 1);
    notify(EVENT);
    assert_int_equal(used(EVENT)[1], 1); // once
}

static void what_is_no_packet_breaks_the_device(void **state)
{
    struct vsock_header header = packet(VSOCK_RW);
    connect();
    header.length = 5;
    put_packet(&header, "four", 4);
    assert_true(needs_reset());
    driven(state);
    describe(TRANSMIT, 0, BUFFERS, HEADER - 1, 0, 0);
    offer(TRANSMIT, 0);
    notify(TRANSMIT);
    assert_true(needs_reset());
    driven(state);
    say(VSOCK_RW);
    describe(RECEIVE, 0, BUFFERS, HEADER, WRITE, 0); // no room for a byte
    offer(RECEIVE, 0);
    notify(RECEIVE);
    tick();
    assert_true(needs_reset());
    driven(state);
    connect();
    assert_false(needs_reset());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_is_a_socket_device, driven),
        cmocka_unit_test_setup(bytes_go_both_ways, driven),
        cmocka_unit_test_setup(a_driver_that_is_slow_gets_everything, driven),
        cmocka_unit_test_setup(packets_wait_for_their_answers, driven),
        cmocka_unit_test_setup(a_call_reaches_the_guest, driven),
        cmocka_unit_test_setup(a_reset_closes_everything, driven),
        cmocka_unit_test_setup(a_loaded_state_has_no_connections, driven),
        cmocka_unit_test_setup(what_is_no_packet_breaks_the_device, driven),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
