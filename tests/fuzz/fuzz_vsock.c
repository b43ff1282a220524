// A socket device under a hostile driver, which writes any register, and anything into its rings
// and packets, also between any two steps of the device's work (fuzz.mk); and services that give,
// take, fall silent and leave at any time. Whatever they do, RAM and the rings of streams are all
// that changes, no ring is overrun (each has memory of its own), no lock stays held, each
// connection that there is has a stream and each stream is given back once; and after a reset bytes
// go both ways, in order.

#include <stdlib.h>
#include <string.h>

#include "drivers/virt/virtio/virtio_vsock.h"
#include "tests/fuzz/changes.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/require.h"
#include "vm/vm.h"

#define RAM_BYTES  (64 << 10)
#define RING_SIZE  8
#define STATE_ROOM (64 << 10)
#define NOTICE     (2ULL << 32)
#define PACKET     0x9000
#define BUFFER     0xa000
#define STREAMS    40
#define BYTES      128 // in a direction of a stream
#define CID        5
#define HEADER     sizeof(struct vsock_header)

static struct vm vm;
static struct vcpu vcpu;
static struct lapic_page page;
static struct gmem_piece piece;
static struct virtio_vsock device;
static struct vsock vsock;
static _Alignas(4096) uint8_t ram[RAM_BYTES];
static uint64_t now;
static bool is_roused;

static void kick(struct vcpu *kicked)
{
    require(kicked == &vcpu);
}

// ---- services ----

static struct service {
    struct stream *stream;
    uint8_t *bytes;
    bool is_open; // our end
} services[STREAMS];

static void release(struct stream *stream)
{
    struct service *service = services;
    while (service < services + STREAMS && service->stream != stream)
        service++;
    require(service < services + STREAMS && !service->is_open);
    free(service->bytes);
    free(stream);
    *service = (struct service){0};
}

static void wake(struct stream_end *end)
{
    struct service *service = end->owner;
    require(service->is_open && end == &service->stream->end[1]);
}

static struct stream *make(void)
{
    for (struct service *service = services; service < services + STREAMS; service++) {
        if (service->stream)
            continue;
        *service = (struct service){malloc(sizeof(struct stream)), malloc(2 * BYTES), true};
        stream_init(service->stream, service->bytes, BYTES, release);
        stream_own(&service->stream->end[1], wake, service);
        return service->stream;
    }
    return NULL;
}

static struct stream_end *asked(struct vsock *of, uint32_t port, uint32_t guest_port)
{
    require(of == &vsock);
    struct stream *stream = port % 4 ? make() : NULL;
    return stream ? &stream->end[0] : NULL;
}

static void rouse(struct vsock *of)
{
    require(of == &vsock);
    is_roused = true;
}

static void leave(struct service *service)
{
    service->is_open = false;
    stream_close(&service->stream->end[1]);
}

static void serve(struct input *input)
{
    uint8_t bytes[BYTES];
    unsigned kind = (unsigned)take(input, 1);
    struct service *service = &services[(unsigned)take(input, 1) % STREAMS];
    if (!service->is_open)
        return;
    struct stream_end *end = &service->stream->end[1];
    memset(bytes, 0x5a, sizeof(bytes));
    switch (kind % 8) {
    case 0:
        stream_finish(end);
        break;
    case 1:
        stream_deafen(end);
        break;
    case 2:
        leave(service);
        break;
    case 3:
    case 4:
        require(stream_take(end, bytes, kind >> 1) <= BYTES);
        break;
    default:
        require(stream_give(end, bytes, kind >> 1) <= BYTES);
        break;
    }
}

static void call(struct input *input)
{
    struct stream *stream = make();
    if (stream && !virtio_vsock_call(&device, &stream->end[0], (uint32_t)take(input, 1), now))
        stream_close(&stream->end[0]);
}

// ---- the driver's hands ----

static void reach(uint64_t at, uint8_t size, bool write, uint64_t value)
{
    struct access access = {
        .offset = at, .size = size, .write = write, .value = value & size_mask(size), .now = now};
    (void)vdev_access(&device.virtio.device, &access);
    require(access.value <= size_mask(size));
}

static void set(unsigned offset, uint8_t size, uint64_t value)
{
    reach(offset, size, true, value);
}

static void drive(uint64_t features)
{
    set(0x14, 1, 0);
    set(0x14, 1, 3);
    set(0x08, 4, 0);
    set(0x0c, 4, (uint32_t)features);
    set(0x08, 4, 1);
    set(0x0c, 4, features >> 32);
    set(0x14, 1, 0xb);
    for (unsigned i = 0; i < 3; i++) {
        set(0x16, 2, i);
        set(0x18, 2, RING_SIZE);
        set(0x20, 8, 0x1000 * i);
        set(0x28, 8, 0x1000 * i + 0x400);
        set(0x30, 8, 0x1000 * i + 0x800);
        set(0x1c, 2, 1);
    }
    set(0x14, 1, 0xf);
}

static void put(unsigned at, uint64_t value, unsigned bytes)
{
    memcpy(ram + at % (RAM_BYTES - 8), &value, bytes);
}

static void describe(unsigned queue, unsigned at, uint64_t where, uint64_t length, unsigned flags)
{
    put(queue * 0x1000 + at * 16, where, 8);
    put(queue * 0x1000 + at * 16 + 8, length, 4);
    put(queue * 0x1000 + at * 16 + 12, flags | (uint64_t)(at + 1) << 16, 4);
}

static void offer(unsigned queue, unsigned head)
{
    uint16_t index;
    memcpy(&index, ram + queue * 0x1000 + 0x402, 2);
    put(queue * 0x1000 + 0x404 + index % RING_SIZE * 2, head, 2);
    put(queue * 0x1000 + 0x402, index + 1U, 2);
    reach(NOTICE + 4 * queue, 2, true, 0);
}

// A buffer to receive into, or for events, perhaps of two descriptors.
static void post(struct input *input)
{
    unsigned kind = (unsigned)take(input, 1), queue = kind & 0x40 ? 2 : 0;
    describe(queue, 0, BUFFER + 0x100 * (kind & 7), take(input, 1) + (kind & 0x20 ? 1 : HEADER),
             kind & 8 ? 3 : 2);
    describe(queue, 1, BUFFER + 0x1000, take(input, 1), 2);
    offer(queue, 0);
}

static void say(const struct vsock_header *header, uint32_t bytes)
{
    memcpy(ram + PACKET, header, HEADER);
    describe(1, 0, PACKET, HEADER, 1);
    describe(1, 1, PACKET + HEADER, bytes, 0);
    offer(1, 0);
}

// A packet that may be a good one, from few ports to few.
static void send(struct input *input)
{
    static const uint32_t rooms[] = {4096, 0, 60, UINT32_MAX};
    unsigned kind = (unsigned)take(input, 1), ports = (unsigned)take(input, 1);
    uint32_t length = (uint32_t)take(input, 1);
    struct vsock_header header = {
        .from_cid = CID,
        .to_cid = 2,
        .from_port = ports & 15,
        .to_port = ports >> 4 & 7,
        .type = 1,
        .operation = kind & 7,
        .length = kind & 0x80 ? (uint32_t)take(input, 4) : length,
        .flags = kind >> 3 & 3,
        .room = rooms[kind >> 5 & 3],
        .taken = kind & 0x80 ? (uint32_t)take(input, 4) : 0,
    };
    if (ports & 0x80) // an answer to a call
        header.to_port = vsock.next_port - (ports >> 4 & 7);
    if (kind >> 5 == 7)
        put(PACKET + (unsigned)take(input, 1) % HEADER, take(input, 1), 1);
    say(&header, length);
}

static void save_and_load(struct input *input)
{
    static uint8_t state[STATE_ROOM];
    struct explanation why = {""};
    size_t length = vdev_save(&device.virtio.device, state, sizeof(state));
    require(length <= sizeof(state));
    for (unsigned lies = (unsigned)take(input, 1) & 3; lies; lies--)
        state[(size_t)take(input, 2) % length] = (uint8_t)take(input, 1);
    struct section_input look = {state, length}, load = look;
    if (vdev_load(&device.virtio.device, &look, false, &why) != STATUS_OK)
        require(why.text[0]);
    else if (vdev_load(&device.virtio.device, &load, true, &why) == STATUS_OK)
        vdev_loaded(&device.virtio.device);
}

// ---- laws ----

static void look_at_connections(void)
{
    unsigned open = 0, streams = 0, held = 0;
    for (unsigned i = 0; i < VSOCK_CONNECTIONS; i++) {
        const struct vsock_connection *c = &vsock.connection[i];
        open += c->state != 0;
        streams += c->end != NULL;
        require(!c->end || (c->state && ring_used(&c->end->given) <= BYTES));
    }
    for (unsigned i = 0; i < STREAMS; i++)
        held += services[i].stream && !(services[i].stream->end[0].says & STREAM_CLOSED);
    require(open == vsock.open && streams == held && streams <= open);
    require(vsock.refusals <= VSOCK_REFUSALS);
    require(device.virtio.device.lock.next == device.virtio.device.lock.serving);
}

static void step(struct input *input)
{
    static const uint8_t sizes[] = {1, 2, 4, 8};
    unsigned kind = (unsigned)take(input, 1);
    uint8_t size = sizes[kind >> 5 & 3];
    switch (kind % 16) {
    case 0:
        reach(take(input, 2) & 0x3fff, size, kind & 0x80, take(input, size));
        break;
    case 1:
        put((unsigned)take(input, 2), take(input, size), size);
        break;
    case 2:
        vm_tick_devices(&vm, now += take(input, 1) << (kind >> 4 << 1));
        break;
    case 3:
        if (kind & 0x80)
            drive(VIRTIO_F_VERSION_1 | (take(input, 6) & VIRTIO_F_ALL));
        break;
    case 4:
        if (kind & 0x80)
            save_and_load(input);
        break;
    case 5:
        call(input);
        break;
    case 6:
        changes[next_change++ % CHANGES] =
            (struct change){.blocks = 1 + (unsigned)take(input, 1),
                            .at = ram + take(input, 2) % (RAM_BYTES - 8),
                            .size = size,
                            .value = take(input, size)};
        break;
    case 7:
    case 8:
    case 9:
        serve(input);
        break;
    case 10:
    case 11:
    case 12:
        post(input);
        break;
    default:
        send(input);
        break;
    }
    if (is_roused)
        virtio_vsock_look(&device);
    is_roused = false;
}

// ---- the end of the story ----

static struct vsock_header packet(unsigned operation, uint32_t length)
{
    return (struct vsock_header){.from_cid = CID,
                                 .to_cid = 2,
                                 .from_port = 77,
                                 .to_port = 1,
                                 .length = length,
                                 .type = 1,
                                 .operation = (uint16_t)operation,
                                 .room = 4096};
}

static void require_answer(unsigned operation, const char *bytes)
{
    struct vsock_header header;
    vm_tick_devices(&vm, ++now);
    memcpy(&header, ram + BUFFER, HEADER);
    require(header.operation == operation && header.length == strlen(bytes));
    require(memcmp(ram + BUFFER + HEADER, bytes, strlen(bytes)) == 0);
    describe(0, 0, BUFFER, 4096, 2);
    offer(0, 0);
}

static void close_all(void)
{
    for (unsigned i = 0; i < STREAMS; i++)
        if (services[i].is_open)
            leave(&services[i]);
}

static void serves_again(void)
{
    memset(changes, 0, sizeof(changes));
    drive(VIRTIO_F_VERSION_1);
    close_all();
    for (unsigned i = 0; i < STREAMS; i++)
        require(!services[i].stream);
    memset(ram, 0, sizeof(ram));
    describe(0, 0, BUFFER, 4096, 2);
    offer(0, 0);
    struct vsock_header request = packet(VSOCK_REQUEST, 0), bytes = packet(VSOCK_RW, 5);
    say(&request, 1);
    require(services[0].is_open);
    require_answer(VSOCK_RESPONSE, "");
    struct stream_end *end = &services[0].stream->end[1];
    for (unsigned i = 0; i < 40; i++) {
        uint8_t heard[8];
        memcpy(ram + PACKET + HEADER, "ask12", 5);
        ram[PACKET + HEADER] = (uint8_t)i;
        say(&bytes, 5);
        require(stream_take(end, heard, 8) == 5 && heard[0] == i && heard[4] == '2');
        require(stream_give(end, "answers!", 8) == 8);
        virtio_vsock_look(&device);
        require_answer(VSOCK_RW, "answers!");
        struct vsock_header credit = packet(VSOCK_CREDIT_UPDATE, 0);
        credit.taken = 8 * (i + 1);
        say(&credit, 1);
    }
    virtio_vsock_close(&device);
    close_all();
    require(!services[0].stream);
}

static void fresh(void)
{
    static const struct vm_host host = {.kick = kick};
    static const struct vsock_host vsock_host = {asked, rouse};
    memset(&vm, 0, sizeof(vm));
    memset(&vcpu, 0, sizeof(vcpu));
    memset(ram, 0, sizeof(ram));
    memset(&vsock, 0, sizeof(vsock));
    vm.host = &host;
    vm.traits.name = "fuzz";
    vm.deadlines.first = NEVER;
    vm.vcpu_count = 1;
    vm.vcpu[0] = &vcpu;
    vcpu.vm = &vm;
    lapic_init(&vcpu, &page);
    piece = (struct gmem_piece){0};
    gmem_init(&vm.memory, &piece, 1);
    gmem_add(&vm.memory, gpa(0), ram, RAM_BYTES);
    vm_plug(&vm, &device.virtio.device, &virtio_vsock_class);
    vsock.host = &vsock_host;
    vsock.cid = CID;
    virtio_vsock_describe(&device, &vsock);
    vdev_reset(&device.virtio.device);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    memset(changes, 0, sizeof(changes));
    next_change = 0;
    now = 0;
    fresh();
    drive(VIRTIO_F_ALL);
    for (unsigned steps = 1; input.left > 0; steps++) {
        step(&input);
        if (steps % 16 == 0 || !input.left)
            look_at_connections();
    }
    serves_again();
    return 0;
}
