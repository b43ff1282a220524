// A hostile driver plays rings of every illegal kind against each queue of each virtio device that
// there is. None of them hurts anybody else: the device says that it needs a reset, and after one
// it serves as at first, also when another CPU rewrote the ring while the device read it.
#include "tests/guests/lib/rings.h"

#include "tests/guests/lib/smp.h"

#define QUEUES_PLAYED 5
#define SCRAMBLED     40 // notifications
#define HEADER        12 // of a frame
#define FRAME         (HEADER + 60)
#define F_NET_MQ      BIT(22)
#define F_REPORTING   BIT(5) // a balloon's
#define REPORTING     3      // queues of a balloon whose driver has no other features
#define INFLATE       0

static struct virtio_function functions[32];
static unsigned count;
static struct virtio_ring ring;

// The first buffers of a queue, in one chain.
static void offer(const struct virtio_descriptor *buffer, unsigned buffers)
{
    for (unsigned i = 0; i < buffers; i++) {
        ring.descriptor[i] = buffer[i];
        ring.descriptor[i].flags |= i + 1 < buffers ? DESC_NEXT : 0;
        ring.descriptor[i].next = (uint16_t)(i + 1);
    }
    __asm__ volatile("" : : : "memory");
    ring.available.index = 1;
}

// Gives the queue such a chain. Whether the device has used it when the notice is done.
static bool serves(const struct virtio_function *function, unsigned queue, uint64_t features,
                   const struct virtio_descriptor *buffer, unsigned buffers)
{
    (void)virtio_negotiate(function, features | VIRTIO_F_VERSION_1);
    virtio_enable(function, queue, &ring, VIRTIO_RING, VIRTIO_NO_VECTOR);
    virtio_go(function);
    offer(buffer, buffers);
    virtio_notify(function, queue);
    return ring.used.index == 1;
}

// ---- drivers that keep to the rules ----

static bool disk_serves(const struct virtio_function *disk)
{
    static uint32_t header[4];
    static uint8_t data[512], status;
    status = 0xff;
    return serves(disk, 0, 0,
                  (struct virtio_descriptor[]){{(uint64_t)header, sizeof(header), 0, 0},
                                               {(uint64_t)data, sizeof(data), DESC_WRITE, 0},
                                               {(uint64_t)&status, 1, DESC_WRITE, 0}},
                  3) &&
           *(volatile uint8_t *)&status == 0;
}

static bool is_other_card(const struct virtio_function *function,
                          const struct virtio_function *than)
{
    return function->type == VIRTIO_NET && function->slot != than->slot;
}

// Another card sends a frame to everybody.
static bool send_to(const struct virtio_function *card)
{
    static struct virtio_ring sent;
    static uint8_t frame[FRAME];
    const struct virtio_function *other = functions;
    while (!is_other_card(other, card))
        other++;
    memset(frame + HEADER, 0xff, 6);
    for (unsigned i = 0; i < 6; i++)
        frame[HEADER + 6 + i] = other->config[i];
    (void)virtio_negotiate(other, VIRTIO_F_VERSION_1);
    virtio_enable(other, 1, &sent, VIRTIO_RING, VIRTIO_NO_VECTOR);
    virtio_go(other);
    sent.descriptor[0] = (struct virtio_descriptor){(uint64_t)frame, FRAME, 0, 0};
    __asm__ volatile("" : : : "memory");
    sent.available.index = 1;
    virtio_notify(other, 1);
    return sent.used.index == 1;
}

static bool card_serves(const struct virtio_function *card)
{
    static uint8_t buffer[2048];
    memset(buffer, 0, sizeof(buffer));
    const struct virtio_descriptor room = {(uint64_t)buffer, sizeof(buffer), DESC_WRITE, 0};
    return !serves(card, 0, 0, &room, 1) && send_to(card) && ring.used.index == 1 &&
           ring.used.entry[0].written == FRAME && !memcmp(buffer + HEADER, "\xff\xff\xff", 3);
}

// Both ways to give a page: afterwards it reads as zeros, and can be used again.
static bool balloon_serves(const struct virtio_function *balloon)
{
    static _Alignas(4096) volatile uint8_t page[4096];
    static uint32_t number;
    number = (uint32_t)((uint64_t)page >> 12);
    page[0] = 1;
    const struct virtio_descriptor numbers = {(uint64_t)&number, sizeof(number), 0, 0};
    if (!serves(balloon, INFLATE, 0, &numbers, 1) || page[0])
        return false;
    page[0] = 2;
    const struct virtio_descriptor range = {(uint64_t)page, sizeof(page), DESC_WRITE, 0};
    return page[0] == 2 && serves(balloon, REPORTING, F_REPORTING, &range, 1) && !page[0];
}

static bool device_serves(const struct virtio_function *function)
{
    switch (function->type) {
    case VIRTIO_BLOCK:
        return disk_serves(function);
    case VIRTIO_NET:
        return card_serves(function);
    case VIRTIO_BALLOON:
        return balloon_serves(function);
    default:
        return rings_recover(function, 0);
    }
}

// ---- those that do not ----

// The queues whose rings a device reads as soon as it is told of them, or gets a frame; another
// may not before there is something to be put there.
static uint32_t queues_read(const struct virtio_function *function)
{
    uint32_t all = BIT32(function->queues) - 1;
    switch (function->type) {
    case VIRTIO_BLOCK:
    case VIRTIO_BALLOON:
        return all;
    case VIRTIO_NET: // the first pair, and the control queue
        return 3 | (rings_features & F_NET_MQ ? BIT32(function->queues - 1) : BIT32(2));
    default:
        return 0;
    }
}

static bool play_one(const struct virtio_function *function, unsigned queue, unsigned kind)
{
    bool is_broken = rings_play(function, queue, kind);
    if (function->type != VIRTIO_NET || queue)
        return is_broken;
    (void)send_to(function);
    return virtio_status(function) & VIRTIO_NEEDS_RESET;
}

static void play(const struct virtio_function *function)
{
    unsigned queues = MIN(function->queues, QUEUES_PLAYED);
    for (unsigned kind = 0; kind < RINGS_KINDS; kind++) {
        bool is_allowed = kind == RINGS_ALLOWED && function->type != VIRTIO_BLOCK;
        uint32_t broken = 0, missing = is_allowed ? 0 : queues_read(function);
        unsigned recovered = 0;
        for (unsigned queue = 0; queue < queues; queue++) {
            broken |= play_one(function, queue, kind) ? BIT32(queue) : 0;
            recovered += rings_recover(function, queue);
        }
        missing &= ~broken;
        check(recovered == queues && !missing, "type %u: %s (broken %#x, missing %#x)",
              function->type, rings_name(kind), broken, missing);
    }
}

static void play_scrambled(const struct virtio_function *function)
{
    unsigned recovered = 0;
    rings_quiet = false;
    smp_begin(1, rings_scramble);
    for (unsigned i = 0; i < SCRAMBLED; i++) {
        unsigned queue = i % MIN(function->queues, QUEUES_PLAYED);
        recovered += rings_recover(function, queue);
        for (unsigned k = 0; k < 10; k++) {
            virtio_notify(function, queue);
            if (function->type == VIRTIO_NET && queue == 0)
                (void)send_to(function);
        }
    }
    rings_quiet = true;
    check(smp_wait(1), "type %u: rings that another CPU rewrites (%u of %u)", function->type,
          recovered, SCRAMBLED);
}

static void play_all(const struct virtio_function *function)
{
    play(function);
    play_scrambled(function);
    check(rings_recover(function, 0), "type %u: its driver begins anew", function->type);
    // Queues that are not there, and rings where none can be.
    for (unsigned queue = function->queues; queue < 32; queue++)
        virtio_notify(function, queue);
    check(!(virtio_status(function) & VIRTIO_NEEDS_RESET), "type %u: notices for no queue",
          function->type);
    check(device_serves(function), "type %u: serves again", function->type);
}

void guest_main(uint32_t magic, uint64_t information)
{
    const uint64_t few = rings_features;
    (void)magic;
    (void)information;
    apic_write(APIC_SVR, 0x1ff);
    check(smp_start(1), "the second CPU runs");
    for (unsigned slot = 0; virtio_find(slot, &functions[count]);
         slot = functions[count++].slot + 1)
        ;
    for (unsigned i = 0; i < count; i++) {
        check(device_serves(&functions[i]), "type %u: serves", functions[i].type);
        play_all(&functions[i]);
        rings_features = UINT64_MAX;
        play_all(&functions[i]);
        rings_features = few;
    }
    // Entropy is the CPU's.
    bool has_random = read_cpuid(1, 0).ecx & BIT32(30);
    check(count == 6U + has_random, "%u devices", count);
}
