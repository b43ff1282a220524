// Two VMs, each with a network card on the same switch, and the drivers of those, which do what
// their test says. Registers are reached in the device's regions.
#pragma once

#include "tests/unit/support.h"

#include "drivers/virt/virtio/virtio_net_driver.h"
#include "vm/vm.h"

#define RAM_BYTES   (2 << 20)
#define RINGS       0x10000 // of queue 0; the others' behind them
#define RINGS_BYTES 0x4000
#define RING_SIZE   64
#define SEND_AT     0x80000  // where frames to send are
#define BUFFERS     0x100000 // ... and buffers to receive into
#define PAIRS       4
#define CONTROL     (2 * PAIRS)

#define WRITE    2 // flags of descriptors
#define NEXT     1
#define INDIRECT 4

#define COMMON 0ULL // offsets of registers
#define ISR    0x1000ULL
#define CONFIG 0x2000ULL
#define NOTICE (2ULL << 32)

#define PLAIN (VIRTIO_F_VERSION_1 | NET_F_MAC | NET_F_STATUS)

struct driver_descriptor {
    uint64_t at;
    uint32_t length;
    uint16_t flags;
    uint16_t next;
};

struct side {
    struct vm vm;
    struct net_port port;
    struct virtio_net net;
    struct gmem beside;
    struct gmem_piece pieces[1];
    uint16_t seen[VIRTIO_QUEUES]; // of used rings
    unsigned line, rises;
    _Alignas(4096) uint8_t ram[RAM_BYTES];
};

static struct net_switch lan;
static struct side left, right;
static uint64_t host_time;

static uint64_t now(void)
{
    return host_time;
}

static void window(struct net_port *from, struct net_port *to)
{
    (void)from, (void)to;
}

static void set_line(void *controller, unsigned input, bool level)
{
    struct side *side = controller;
    (void)input;
    side->rises += level && !side->line;
    side->line = level;
}

// ---- registers ----

static inline uint64_t get(struct side *side, uint64_t offset, uint8_t size)
{
    struct access access = {.offset = offset, .size = size};
    assert_true(vdev_access(&side->net.virtio.device, &access));
    return access.value;
}

static inline void set(struct side *side, uint64_t offset, uint8_t size, uint64_t value)
{
    struct access access = {.offset = offset, .size = size, .write = true, .value = value};
    assert_true(vdev_access(&side->net.virtio.device, &access));
}

static inline void notify(struct side *side, unsigned queue)
{
    set(side, NOTICE + 4 * queue, 2, queue);
}

// Up to FEATURES_OK. Returns whether the device took them.
static inline bool negotiate(struct side *side, uint64_t features)
{
    set(side, 0x14, 1, 0);
    set(side, 0x14, 1, 3);
    set(side, 0x08, 4, 0);
    set(side, 0x0c, 4, (uint32_t)features);
    set(side, 0x08, 4, 1);
    set(side, 0x0c, 4, features >> 32);
    set(side, 0x14, 1, 0xb);
    return get(side, 0x14, 1) & 8;
}

static inline uint64_t rings(unsigned queue)
{
    return RINGS + queue * RINGS_BYTES;
}

static inline struct driver_descriptor *descriptors(struct side *side, unsigned queue)
{
    return (struct driver_descriptor *)(side->ram + rings(queue));
}

static inline uint16_t *available(struct side *side, unsigned queue)
{
    return (uint16_t *)(side->ram + rings(queue) + 0x1000);
}

static inline uint16_t *used(struct side *side, unsigned queue)
{
    return (uint16_t *)(side->ram + rings(queue) + 0x2000);
}

static inline uint32_t *used_element(struct side *side, unsigned queue, unsigned index)
{
    return (uint32_t *)(used(side, queue) + 2) + 2 * (index % RING_SIZE);
}

static inline void drive(struct side *side, uint64_t features)
{
    assert_true(negotiate(side, features));
    memset(side->ram + RINGS, 0, VIRTIO_QUEUES * RINGS_BYTES);
    memset(side->seen, 0, sizeof(side->seen));
    for (unsigned queue = 0; queue < 2 * PAIRS + 1; queue++) {
        set(side, 0x16, 2, queue);
        set(side, 0x18, 2, RING_SIZE);
        set(side, 0x20, 4, rings(queue));
        set(side, 0x28, 4, rings(queue) + 0x1000);
        set(side, 0x30, 4, rings(queue) + 0x2000);
        set(side, 0x1c, 2, 1);
    }
    set(side, 0x14, 1, 0xf);
}

static inline bool needs_reset(struct side *side)
{
    return get(side, 0x14, 1) & 0x40;
}

// ---- the devices ----

static inline void plug_card(struct side *side, uint64_t mac, const char *name)
{
    static const struct vm_host host;
    struct explanation why;
    struct net_port port = side->port; // as the test wants it
    memset(side, 0, sizeof(*side));
    side->port = port;
    side->port.name = side->vm.traits.name = name;
    side->port.mac = mac;
    side->vm.host = &host;
    side->vm.deadlines.first = NEVER;
    gmem_init(&side->vm.memory, side->pieces, 1);
    gmem_add(&side->vm.memory, gpa(0), side->ram, RAM_BYTES);
    gmem_beside(&side->beside, &side->vm.memory, 0);
    assert_int_equal(net_port_add(&lan, &side->port, &why), STATUS_OK);
    vm_plug(&side->vm, &side->net.virtio.device, &virtio_net_class);
    virtio_net_describe(&side->net, &side->port, PAIRS);
    vdev_reset(&side->net.virtio.device);
    vpci_function_reset(&side->net.virtio.function);
    side->net.virtio.irq = (struct irq_line){.set = set_line, .controller = side};
    virtio_net_connect(&side->net, &side->beside);
}

#define LEFT_MAC  0x010000005452ULL
#define RIGHT_MAC 0x020000005452ULL

static inline void plug_both(void)
{
    static const struct net_host host = {now, window, window};
    memset(&lan, 0, sizeof(lan));
    lan.name = "lan";
    lan.host = &host;
    host_time = 1700000000000000000;
    plug_card(&left, LEFT_MAC, "left");
    plug_card(&right, RIGHT_MAC, "right");
}

// ---- queues ----

// Makes descriptor `number` available, which begins a chain.
static inline void offer(struct side *side, unsigned queue, unsigned number)
{
    uint16_t *ring = available(side, queue);
    ring[2 + ring[1] % RING_SIZE] = (uint16_t)number;
    __atomic_store_n(&ring[1], (uint16_t)(ring[1] + 1), __ATOMIC_RELEASE);
}

static inline void describe(struct side *side, unsigned queue, unsigned number, uint64_t at,
                            uint32_t length, unsigned flags, unsigned next)
{
    descriptors(side, queue)[number % RING_SIZE] =
        (struct driver_descriptor){at, length, (uint16_t)flags, (uint16_t)next};
}

// Buffers to receive into, one behind the other, a descriptor each.
static inline void post(struct side *side, unsigned queue, unsigned count, uint32_t size)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned number = available(side, queue)[1] % RING_SIZE;
        describe(side, queue, number, BUFFERS + (uint64_t)number * size, size, WRITE, 0);
        offer(side, queue, number);
    }
}

static inline void tick_until_quiet(struct side *side)
{
    for (uint64_t at = 0; side->vm.deadlines.first != NEVER; at++) {
        assert_true(at < 100000);
        vm_tick_devices(&side->vm, at);
    }
}

// The frame to send, which its test fills behind its header.
static inline uint8_t *frame(struct side *side)
{
    return side->ram + SEND_AT + NET_OFFLOAD;
}

static inline void make_frame(struct side *side, uint64_t to, uint64_t from, unsigned length)
{
    memset(side->ram + SEND_AT, 0, NET_OFFLOAD);
    for (unsigned i = 0; i < length; i++)
        frame(side)[i] = (uint8_t)(i * 11 + length);
    memcpy(frame(side), &to, 6);
    memcpy(frame(side) + 6, &from, 6);
    frame(side)[12] = 0x88;
    frame(side)[13] = 0xb5;
}

// Sends it by one descriptor, and sees it taken.
static inline void send_frame(struct side *side, unsigned queue, unsigned length)
{
    unsigned number = available(side, queue)[1] % RING_SIZE;
    uint16_t before = used(side, queue)[1];
    describe(side, queue, number, SEND_AT, NET_OFFLOAD + length, 0, 0);
    offer(side, queue, number);
    notify(side, queue);
    tick_until_quiet(side);
    assert_int_equal(used(side, queue)[1], (uint16_t)(before + 1));
    assert_int_equal(used_element(side, queue, before)[0], number);
}

// The next frame, header and all, put together of its buffers; returns its length, 0: there is
// none.
static inline unsigned receive_frame(struct side *side, unsigned queue, uint8_t *to)
{
    unsigned length = 0, buffers = 1;
    for (unsigned i = 0; i < buffers; i++) {
        if (side->seen[queue] == used(side, queue)[1])
            return 0;
        const uint32_t *element = used_element(side, queue, side->seen[queue]++);
        const struct driver_descriptor *of = &descriptors(side, queue)[element[0]];
        assert_true(element[1] <= of->length);
        memcpy(to + length, side->ram + of->at, element[1]);
        length += element[1];
        if (i == 0)
            buffers = to[10] | to[11] << 8;
        assert_in_range(buffers, 1, RING_SIZE);
    }
    return length;
}

// ---- tests ----

#define MERGE    (PLAIN | NET_F_MRG_RXBUF)
#define OFFLOADS (NET_F_HOST | NET_F_GUEST)
#define COMMANDS                                                                                   \
    (NET_F_CTRL_VQ | NET_F_CTRL_RX | NET_F_CTRL_RX_EXTRA | NET_F_CTRL_VLAN | NET_F_CTRL_MAC |      \
     NET_F_ANNOUNCE | NET_F_GUEST_OFFLOADS)
#define BROADCAST 0xffffffffffffULL

static uint8_t got[0x12000];

static inline int fresh(void **state)
{
    (void)state;
    memset(&left.port, 0, sizeof(left.port));
    memset(&right.port, 0, sizeof(right.port));
    plug_both();
    return 0;
}

static inline int driven(void **state)
{
    fresh(state);
    drive(&left, MERGE | VIRTIO_F_EVENT_IDX);
    drive(&right, MERGE | VIRTIO_F_EVENT_IDX);
    return 0;
}

// What a frame of this length is to the receiver: the last one sent, in `buffers` buffers.
static inline void assert_received(struct side *to, unsigned queue, struct side *from,
                                   unsigned length)
{
    assert_int_equal(receive_frame(to, queue, got), NET_OFFLOAD + length);
    assert_memory_equal(got + NET_OFFLOAD, frame(from), length);
}

// Returns the answer.
static inline unsigned command(struct side *side, unsigned queue, unsigned class, unsigned number,
                               const void *bytes, unsigned length)
{
    uint8_t *at = side->ram + 0x78000;
    at[0] = (uint8_t) class;
    at[1] = (uint8_t)number;
    memcpy(at + 2, bytes, length);
    side->ram[0x79000] = 0xee;
    describe(side, queue, 0, 0x78000, 2 + length, NEXT, 1);
    describe(side, queue, 1, 0x79000, 1, WRITE, 0);
    offer(side, queue, 0);
    notify(side, queue);
    return side->ram[0x79000];
}

static inline bool arrives(uint64_t to)
{
    uint64_t before = right.port.received.frames;
    make_frame(&left, to, LEFT_MAC, 60);
    send_frame(&left, 1, 60);
    return right.port.received.frames != before;
}
