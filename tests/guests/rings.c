// A hostile driver plays rings of every illegal kind against each virtio device that there is. None
// of them hurts anybody else: the device says that it needs a reset, and after one it serves as at
// first, also when another CPU rewrote the ring while the device read it.
// vm: cpus = 2
// vm: disk = ram:1M
// vm: rng = yes
// vm: console = virtio
// vm: guest_agent = yes
#include "tests/guests/lib/rings.h"

#include "tests/guests/lib/smp.h"

#define QUEUES_PLAYED 4
#define SCRAMBLED     200 // notifications

// A disk's driver that keeps to the rules: it reads a sector.
static bool disk_reads(const struct virtio_function *disk)
{
    static struct virtio_ring ring;
    static uint32_t header[4];
    static uint8_t data[512], status;
    (void)virtio_negotiate(disk, VIRTIO_F_VERSION_1);
    virtio_enable(disk, 0, &ring, VIRTIO_RING, VIRTIO_NO_VECTOR);
    virtio_go(disk);
    status = 0xff;
    ring.descriptor[0] = (struct virtio_descriptor){(uint64_t)header, 16, DESC_NEXT, 1};
    ring.descriptor[1] =
        (struct virtio_descriptor){(uint64_t)data, sizeof(data), DESC_NEXT | DESC_WRITE, 2};
    ring.descriptor[2] = (struct virtio_descriptor){(uint64_t)&status, 1, DESC_WRITE, 0};
    __asm__ volatile("" : : : "memory");
    ring.available.index = 1;
    virtio_notify(disk, 0);
    return *(volatile uint8_t *)&status == 0 && ring.used.index == 1;
}

// A disk looks at its rings at once; another device may not before there is something to be put
// there.
static void play(const struct virtio_function *function)
{
    unsigned queues = MIN(function->queues, QUEUES_PLAYED);
    bool is_disk = function->type == VIRTIO_BLOCK;
    for (unsigned kind = 0; kind < RINGS_KINDS; kind++) {
        unsigned broken = 0, recovered = 0;
        for (unsigned queue = 0; queue < queues; queue++) {
            broken += rings_play(function, queue, kind);
            recovered += rings_recover(function, queue);
        }
        check(recovered == queues && (!is_disk || broken == queues), "type %u: %s (%u of %u)",
              function->type, rings_name(kind), broken, queues);
    }
}

static void play_scrambled(const struct virtio_function *function)
{
    unsigned recovered = 0;
    rings_quiet = false;
    smp_begin(1, rings_scramble);
    for (unsigned i = 0; i < SCRAMBLED; i++) {
        recovered += rings_recover(function, i % MIN(function->queues, QUEUES_PLAYED));
        for (unsigned k = 0; k < 10; k++)
            virtio_notify(function, k % 2);
    }
    rings_quiet = true;
    check(smp_wait(1), "type %u: rings that another CPU rewrites (%u of %u)", function->type,
          recovered, SCRAMBLED);
}

void guest_main(uint32_t magic, uint64_t information)
{
    struct virtio_function function;
    unsigned devices = 0;
    (void)magic;
    (void)information;
    apic_write(APIC_SVR, 0x1ff);
    check(smp_start(1), "the second CPU runs");
    for (unsigned slot = 0; virtio_find(slot, &function); slot = function.slot + 1) {
        devices++;
        play(&function);
        play_scrambled(&function);
        check(rings_recover(&function, 0), "type %u: serves again", function.type);
        // Queues that are not there, and rings where none can be.
        for (unsigned queue = function.queues; queue < 32; queue++)
            virtio_notify(&function, queue);
        check(!(virtio_status(&function) & VIRTIO_NEEDS_RESET), "type %u: notices for no queue",
              function.type);
        if (function.type == VIRTIO_BLOCK)
            check(disk_reads(&function), "the disk serves");
    }
    check(devices > 0, "%u devices", devices);
}
