// What a frame costs from one card to another on a switch, from the sender's write to its available
// ring to the end of the receiver's interrupt handler: one of 1,500 bytes, and one of 64 KiB that
// nobody cuts into segments. The drivers do as Linux' do: a header in front of the frame, an
// indirect table for many pieces, buffers that are merged, the event index, an MSI-X vector. Both
// cards are this guest's; the switch does the same as between two.
#include "tests/bench/costs.h"

#include "tests/guests/lib/virtio.h"

#define VECTOR    0x82
#define ROUNDS    64
#define NO_VECTOR 0xffff

#define F_CSUM       BIT(0)
#define F_GUEST_CSUM BIT(1)
#define F_GUEST_TSO4 BIT(7)
#define F_HOST_TSO4  BIT(11)
#define F_MRG_RXBUF  BIT(15)

#define BUFFER   4096
#define BUFFERS  VIRTIO_RING
#define PIECES   16
#define HEADERS  54 // Ethernet, IPv4, TCP
#define NET_HEAD 12
#define SMALL    (14 + 1500)
#define LARGE    (HEADERS + 15 * BUFFER + 4000)

static struct virtio_ring receive, transmit;
static _Alignas(4096) uint8_t buffer[BUFFERS][BUFFER], piece[PIECES][BUFFER];
static uint8_t head[NET_HEAD + SMALL];
static struct virtio_descriptor table[PIECES + 1];

static void put_be16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

// From the first card to the second.
static void address(const struct virtio_function cards[2])
{
    uint8_t *frame = head + NET_HEAD;
    for (unsigned i = 0; i < 6; i++) {
        frame[i] = cards[1].config[i];
        frame[6 + i] = cards[0].config[i];
    }
    put_be16(frame + 12, 0x0800);
}

static void make_small(void)
{
    transmit.descriptor[0] = (struct virtio_descriptor){(uint64_t)head, sizeof(head), 0, 0};
}

// TCP over IPv4, its sums and its segments left to the receiver.
static void make_large(void)
{
    uint8_t *ip = head + NET_HEAD + 14;
    head[0] = 1;           // NEEDS_CSUM
    head[1] = 1;           // TCPV4
    head[2] = HEADERS;     // hdr_len
    head[4] = 1448 & 0xff; // gso_size
    head[5] = 1448 >> 8;
    head[6] = 34; // csum_start
    head[8] = 16; // csum_offset
    ip[0] = 0x45;
    put_be16(ip + 2, LARGE - 14);
    ip[8] = 64;
    ip[9] = 6;
    ip[20 + 12] = 5 << 4;
    table[0] = (struct virtio_descriptor){(uint64_t)head, NET_HEAD + HEADERS, DESC_NEXT, 1};
    for (unsigned i = 0; i < PIECES; i++)
        table[i + 1] = (struct virtio_descriptor){(uint64_t)piece[i], i < 15 ? BUFFER : 4000,
                                                  i < 15 ? DESC_NEXT : 0, (uint16_t)(i + 2)};
    transmit.descriptor[0] =
        (struct virtio_descriptor){(uint64_t)table, sizeof(table), DESC_INDIRECT, 0};
}

static void send_once(const struct virtio_function *card)
{
    unsigned before = seen;
    uint16_t index = transmit.available.index;
    receive.available.used_event = receive.used.index;
    transmit.available.used_event = (uint16_t)(index - 1); // no interrupt
    transmit.available.entry[index % VIRTIO_RING] = 0;
    __asm__ volatile("" : : : "memory");
    transmit.available.index = (uint16_t)(index + 1);
    virtio_notify(card, 1);
    while (seen == before)
        __asm__ volatile("sti; nop; cli" : : : "memory");
}

static void measure(const struct virtio_function *card, const char *name, unsigned length)
{
    uint64_t least = UINT64_MAX;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint16_t first = receive.used.index;
        uint64_t start = read_tsc();
        send_once(card);
        uint64_t ticks = read_tsc() - start;
        unsigned got = 0;
        for (uint16_t i = first; i != receive.used.index; i++) {
            got += receive.used.entry[i % VIRTIO_RING].written;
            receive.available.index++; // the buffer is there again
        }
        if (got != NET_HEAD + length)
            return; // no figure
        least = ticks < least ? ticks : least;
    }
    say("cost %s %lu\n", name, (unsigned long)least);
}

void net_measure(void)
{
    static const uint64_t wanted = VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC |
                                   VIRTIO_F_EVENT_IDX | F_CSUM | F_GUEST_CSUM | F_GUEST_TSO4 |
                                   F_HOST_TSO4 | F_MRG_RXBUF;
    struct virtio_function cards[2] = {{0}};
    unsigned found = 0;
    for (unsigned slot = 0; found < 2 && virtio_find(slot, &cards[found]);) {
        slot = cards[found].slot + 1;
        found += cards[found].type == VIRTIO_NET;
    }
    if (found < 2)
        return;
    install(VECTOR, take);
    for (unsigned i = 0; i < 2; i++)
        (void)virtio_negotiate(&cards[i], wanted);
    virtio_route(&cards[1], 0, VECTOR);
    virtio_enable(&cards[1], 0, &receive, VIRTIO_RING, 0);
    virtio_enable(&cards[0], 1, &transmit, VIRTIO_RING, NO_VECTOR);
    for (unsigned i = 0; i < BUFFERS; i++) {
        receive.descriptor[i] =
            (struct virtio_descriptor){(uint64_t)buffer[i], BUFFER, DESC_WRITE, 0};
        receive.available.entry[i] = (uint16_t)i;
    }
    receive.available.index = BUFFERS;
    virtio_go(&cards[0]);
    virtio_go(&cards[1]);
    address(cards);
    make_small();
    measure(&cards[0], "net_vm_to_vm", SMALL);
    make_large();
    measure(&cards[0], "net_tso_64k", LARGE);
}
