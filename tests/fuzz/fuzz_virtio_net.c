// Two network cards on a switch under hostile drivers: they write any register, and anything into
// their rings and buffers, which may lie over each other, also between any two steps of the devices
// and the switch (fuzz.mk).
// Whatever they do, RAM is all that changes, each piece of work is bounded, no lock stays held, and
// after a reset a frame goes from one to the other. A state that is saved and loaded goes on; one
// with lies in it is refused or borne.

#include <string.h>

#include "drivers/virt/virtio/virtio_net_driver.h"
#include "tests/fuzz/changes.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/require.h"
#include "vm/vm.h"

#define RAM_BYTES  (64 << 10)
#define PAIRS      2
#define QUEUES     (2 * PAIRS + 1)
#define RING_SIZE  8
#define STATE_ROOM (64 << 10)
#define WINDOWS    2000 // that a piece of work opens at most
#define NOTICE     (2ULL << 32)
#define FRAME      0x9000
#define BUFFER     0xa000

static struct side {
    struct vm vm;
    struct vcpu vcpu;
    struct lapic_page page;
    struct net_port port;
    struct virtio_net net;
    struct gmem beside;
    struct gmem_piece piece;
    bool is_connected;
    _Alignas(4096) uint8_t ram[RAM_BYTES];
} sides[2];

static struct net_switch lan;
static uint64_t now, host_time;
static unsigned windows, opened;

static void kick(struct vcpu *kicked)
{
    require(kicked == &sides[0].vcpu || kicked == &sides[1].vcpu);
}

static uint64_t host_now(void)
{
    return host_time;
}

static void open_window(struct net_port *from, struct net_port *to)
{
    require(!windows++ && from != to);
    opened++;
}

static void close_window(struct net_port *from, struct net_port *to)
{
    require(windows-- == 1 && from != to);
}

// ---- the drivers' other CPUs ----

static void change_later(struct side *side, struct input *input, unsigned size)
{
    changes[next_change++ % CHANGES] =
        (struct change){.blocks = (unsigned)take(input, 2) & 0x3ff,
                        .size = size,
                        .at = side->ram + take(input, 2) % (RAM_BYTES - 8),
                        .value = take(input, size)};
}

// ---- the drivers' hands ----

static uint64_t reach(struct side *side, uint64_t at, uint8_t size, bool write, uint64_t value)
{
    struct access access = {
        .offset = at, .size = size, .write = write, .value = value & size_mask(size), .now = now};
    (void)vdev_access(&side->net.virtio.device, &access);
    require(access.value <= size_mask(size));
    return access.value;
}

static void set(struct side *side, unsigned offset, uint8_t size, uint64_t value)
{
    (void)reach(side, offset, size, true, value);
}

static void drive(struct side *side, uint64_t features)
{
    set(side, 0x14, 1, 0);
    set(side, 0x14, 1, 3);
    set(side, 0x08, 4, 0);
    set(side, 0x0c, 4, (uint32_t)features);
    set(side, 0x08, 4, 1);
    set(side, 0x0c, 4, features >> 32);
    set(side, 0x14, 1, 0xb);
    for (unsigned i = 0; i < QUEUES; i++) {
        set(side, 0x16, 2, i);
        set(side, 0x18, 2, RING_SIZE);
        set(side, 0x20, 8, 0x1000 * i);
        set(side, 0x28, 8, 0x1000 * i + 0x400);
        set(side, 0x30, 8, 0x1000 * i + 0x800);
        set(side, 0x1c, 2, 1);
    }
    set(side, 0x14, 1, 0xf);
}

static void put(struct side *side, unsigned at, uint64_t value, unsigned bytes)
{
    memcpy(side->ram + at % (RAM_BYTES - 8), &value, bytes);
}

static void describe(struct side *side, unsigned queue, unsigned number, uint64_t at,
                     uint32_t length, unsigned flags, unsigned next)
{
    unsigned where = queue * 0x1000 + number % RING_SIZE * 16;
    put(side, where, at, 8);
    put(side, where + 8, length, 4);
    put(side, where + 12, flags, 2);
    put(side, where + 14, next, 2);
}

static void offer(struct side *side, unsigned queue, unsigned head)
{
    uint16_t index;
    memcpy(&index, side->ram + queue * 0x1000 + 0x402, 2);
    put(side, queue * 0x1000 + 0x404 + index % RING_SIZE * 2, head, 2);
    put(side, queue * 0x1000 + 0x402, index + 1U, 2);
}

// A buffer to receive into, perhaps of two descriptors, anywhere.
static void post(struct side *side, struct input *input, unsigned queue)
{
    unsigned number = (unsigned)take(input, 1) % RING_SIZE;
    bool is_two = number & 4;
    describe(side, queue, number, take(input, 2), (uint32_t)take(input, 2), 2 | is_two, number ^ 1);
    if (is_two)
        describe(side, queue, number ^ 1, take(input, 2), (uint32_t)take(input, 2), 2, 0);
    offer(side, queue, number);
}

static void put_mac(struct side *side, unsigned at, uint64_t mac)
{
    put(side, at, mac, 6);
}

// A frame that may be a good one: to the other, to all or to nobody, with something left to do.
static void send(struct side *side, struct input *input, unsigned queue)
{
    struct side *other = &sides[side == &sides[0]];
    unsigned kind = (unsigned)take(input, 1), length = (unsigned)take(input, 2);
    const uint64_t targets[] = {other->port.address, other->port.address, ~0ULL, take(input, 2)};
    struct net_offload offload = {.flags = kind >> 2 & 1,
                                  .kind = (uint8_t)(kind >> 3 & 0x85),
                                  .segment = (uint16_t)take(input, 2),
                                  .sum_start = (uint16_t)(34 + (kind & 0x80 ? take(input, 1) : 0)),
                                  .sum_offset = 16};
    memcpy(side->ram + FRAME, &offload, sizeof(offload));
    put_mac(side, FRAME + 12, targets[kind & 3]);
    put_mac(side, FRAME + 18, side->port.address);
    if (offload.kind) {
        put(side, FRAME + 24, kind & 0x20 ? 0x60dd86 : 0x450008, 4);
        put(side, FRAME + 35, 6, 1);
        put(side, FRAME + 58, 0x50, 1);
    }
    if (kind & 0x40)
        put(side, FRAME + 24, 0x81 | (take(input, 2) & 0xffff) << 16, 4);
    describe(side, queue, 0, FRAME, length, 0, 0);
    offer(side, queue, 0);
    (void)reach(side, NOTICE + 4 * queue, 2, true, 0);
}

static void command(struct side *side, struct input *input)
{
    unsigned queue = side->net.virtio.features & NET_F_MQ ? QUEUES - 1 : 2;
    put(side, 0x8000, take(input, 2) & 0x0307, 2);
    for (unsigned i = 0; i < 24; i += 8)
        put(side, 0x8002 + i, take(input, 8), 8);
    describe(side, queue, 0, 0x8000, 2 + ((uint32_t)take(input, 1) & 31), 1, 1);
    describe(side, queue, 1, 0x8100, 1, 2, 0);
    offer(side, queue, 0);
    (void)reach(side, NOTICE + 4 * queue, 2, true, 0);
}

// ---- the operator's ----

static void connect(struct side *side, bool is_on)
{
    if (side->is_connected == is_on)
        return;
    side->is_connected = is_on;
    if (is_on)
        virtio_net_connect(&side->net, &side->beside);
    else
        virtio_net_disconnect(&side->net);
}

static void operate(struct side *side, unsigned what)
{
    switch (what % 4) {
    case 0:
        net_port_set_link(&side->port, what & 4);
        break;
    case 1:
        net_port_announce(&side->port);
        break;
    case 2:
        connect(side, what & 4);
        break;
    case 3:
        host_time += (uint64_t)what << 20;
        break;
    }
}

static void save_and_load(struct side *side, struct input *input)
{
    static uint8_t state[STATE_ROOM];
    struct vdev *device = &side->net.virtio.device;
    struct explanation why = {""};
    bool was_connected = side->is_connected;
    connect(side, false);
    size_t length = vdev_save(device, state, sizeof(state));
    require(length <= sizeof(state));
    for (unsigned lies = (unsigned)take(input, 1) & 3; lies; lies--) {
        size_t at = (size_t)take(input, 2) % length;
        state[at] = (uint8_t)take(input, 1);
    }
    struct section_input look = {state, length}, load = look;
    if (vdev_load(device, &look, false, &why) != STATUS_OK)
        require(why.text[0]);
    else if (vdev_load(device, &load, true, &why) == STATUS_OK)
        vdev_loaded(device);
    connect(side, was_connected);
}

static void step(struct input *input)
{
    static const uint8_t sizes[] = {1, 2, 4, 8};
    unsigned kind = (unsigned)take(input, 1);
    uint8_t size = sizes[kind >> 4 & 3];
    struct side *side = &sides[kind >> 7];
    unsigned queue = kind >> 4 & 3;
    opened = 0;
    switch (kind % 14) {
    case 0:
        set(side, (unsigned)take(input, 1) & 0x3f, size, take(input, size));
        break;
    case 1:
        (void)reach(side, take(input, 2) & 0x3fff, size, false, 0);
        break;
    case 2:
        (void)reach(side, NOTICE + (take(input, 1) & 0x7f), MIN(size, 4), true, 0);
        break;
    case 3: // a ring or a buffer
        put(side, (unsigned)take(input, 2), take(input, size), size);
        break;
    case 4:
        vm_tick_devices(&side->vm, ++now);
        break;
    case 5:
        (void)reach(side, (1ULL << 32) + (take(input, 1) & 0xfff), size, kind & 0x40,
                    take(input, size));
        break;
    case 6:
        drive(side, VIRTIO_F_VERSION_1 | (take(input, 6) & side->net.virtio.offered));
        break;
    case 7:
    case 8:
        send(side, input, queue | 1);
        break;
    case 9:
        post(side, input, queue & 2);
        break;
    case 10:
        command(side, input);
        break;
    case 11:
        operate(side, (unsigned)take(input, 1));
        break;
    case 12:
        save_and_load(side, input);
        break;
    case 13:
        change_later(side, input, size);
        break;
    }
    require(opened < WINDOWS && !windows);
    for (unsigned i = 0; i < 2; i++) {
        require(sides[i].net.virtio.device.lock.next == sides[i].net.virtio.device.lock.serving);
        require(sides[i].port.lock.next == sides[i].port.lock.serving);
    }
}

// However they were used: a reset, and a frame goes from each to the other.
static void serve_again(void)
{
    memset(changes, 0, sizeof(changes));
    for (unsigned i = 0; i < 2; i++) {
        memset(sides[i].ram, 0, RAM_BYTES);
        drive(&sides[i], VIRTIO_F_VERSION_1);
        net_port_set_link(&sides[i].port, true);
        connect(&sides[i], true);
        describe(&sides[i], 0, 0, BUFFER, 1526, 2, 0);
        offer(&sides[i], 0, 0);
    }
    host_time += 1ULL << 40; // whatever was sent is within all rates again
    for (unsigned i = 0; i < 2; i++) {
        struct side *from = &sides[i], *to = &sides[!i];
        for (unsigned k = 0; k < 100; k++)
            from->ram[FRAME + NET_OFFLOAD + k] = (uint8_t)(k * 3);
        put_mac(from, FRAME + 12, to->port.address);
        put_mac(from, FRAME + 18, from->port.address);
        describe(from, 1, 0, FRAME, NET_OFFLOAD + 100, 0, 0);
        offer(from, 1, 0);
        (void)reach(from, NOTICE + 4, 2, true, 0);
        require(!memcmp(to->ram + BUFFER + NET_OFFLOAD, from->ram + FRAME + NET_OFFLOAD, 100));
    }
}

static void plug(struct side *side, unsigned number, unsigned kind)
{
    static const struct vm_host host = {.kick = kick};
    struct explanation why;
    memset(side, 0, sizeof(*side));
    side->vm.host = &host;
    side->vm.traits.name = side->port.name = "fuzz";
    side->vm.deadlines.first = NEVER;
    side->vm.vcpu_count = 1;
    side->vm.vcpu[0] = &side->vcpu;
    side->vcpu.vm = &side->vm;
    lapic_init(&side->vcpu, &side->page);
    gmem_init(&side->vm.memory, &side->piece, 1);
    gmem_add(&side->vm.memory, gpa(0), side->ram, RAM_BYTES);
    gmem_beside(&side->beside, &side->vm.memory, 0);
    side->port.mac = 0x5452 | (uint64_t)number << 40;
    side->port.may_change_mac = kind & 1;
    side->port.is_trunk = kind & 2;
    memset(side->port.trunk, 0xff, sizeof(side->port.trunk));
    side->port.is_uplink = kind & 4 && number;
    if (kind & 8)
        net_rate_set(&side->port.sent_frames, 100000, 10);
    if (kind & 16)
        net_rate_set(&side->port.received_bytes, 1000000, 10000);
    if (kind & 32)
        net_rate_set(&side->port.flooded, 10000, 10);
    require(net_port_add(&lan, &side->port, &why) == STATUS_OK);
    vm_plug(&side->vm, &side->net.virtio.device, &virtio_net_class);
    virtio_net_describe(&side->net, &side->port, PAIRS);
    vdev_reset(&side->net.virtio.device);
    connect(side, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct net_host host = {host_now, open_window, close_window};
    struct input input = {data, size};
    unsigned kind = (unsigned)take(&input, 1);
    memset(&lan, 0, sizeof(lan));
    lan.name = "fuzz";
    lan.host = &host;
    now = 0;
    memset(changes, 0, sizeof(changes));
    host_time = 1700000000000000000;
    for (unsigned i = 0; i < 2; i++) {
        plug(&sides[i], i, kind);
        drive(&sides[i], sides[i].net.virtio.offered);
    }
    while (input.left > 0)
        step(&input);
    serve_again();
    return 0;
}
