// Memory that goes from one VM to another by a balloon, and whether what one wrote is to be found
// by the other. Whoever is at the console says when to go on: a key for each step.
#include "tests/guests/lib/virtio.h"
#include "tests/system/neighbour.h"

#define FIRST       (UINT64_C(16) << 20) // what lies below stays as it is
#define PAGE        4096
#define MARK        (UINT64_C(0x5eed) << 48)
#define MARK_BITS   (UINT64_C(0xffff) << 48)
#define PORT_DATA   0x3f8
#define PORT_STATUS 0x3fd
#define F_REPORTING BIT(5)
#define REPORTING   3 // queue of a balloon whose driver has no other features

static void wait_for_key(void)
{
    while (!(in8(PORT_STATUS) & 1))
        __asm__ volatile("pause");
    (void)in8(PORT_DATA);
}

// Words of a page, on which the mark stands.
#define EACH_WORD(at, page)                                                                        \
    for (volatile uint64_t *at = (volatile uint64_t *)(page);                                      \
         at < (volatile uint64_t *)((page) + PAGE); at += 64)

static void mark_all(uint64_t own)
{
    for (uint64_t page = FIRST; page < memory_end; page += PAGE)
        EACH_WORD(word, page)
    *word = MARK | own | (uint64_t)word;
}

// How many words are not as they were marked.
static unsigned count_lost(uint64_t own)
{
    unsigned lost = 0;
    for (uint64_t page = FIRST; page < memory_end; page += PAGE)
        EACH_WORD(word, page)
    lost += *word != (MARK | own | (uint64_t)word);
    return lost;
}

// All of it becomes the machine's. False: the device does not do it.
static bool report_all(void)
{
    static struct virtio_ring ring;
    struct virtio_function balloon;
    if (!virtio_find(0, &balloon) || balloon.type != VIRTIO_BALLOON)
        return false;
    (void)virtio_negotiate(&balloon, VIRTIO_F_VERSION_1 | F_REPORTING);
    virtio_enable(&balloon, REPORTING, &ring, VIRTIO_RING, VIRTIO_NO_VECTOR);
    virtio_go(&balloon);
    ring.descriptor[0] =
        (struct virtio_descriptor){FIRST, (uint32_t)(memory_end - FIRST), DESC_WRITE, 0};
    __asm__ volatile("" : : : "memory");
    ring.available.index = 1;
    virtio_notify(&balloon, REPORTING);
    while (ring.used.index != 1)
        __asm__ volatile("pause");
    return !(virtio_status(&balloon) & VIRTIO_NEEDS_RESET);
}

// Marks all memory, lends it, and has it again.
void lend(void)
{
    mark_all(0);
    say("MARKED %llu MiB\n", (unsigned long long)((memory_end - FIRST) >> 20));
    wait_for_key();
    check(report_all(), "all is reported as free");
    say("LENT\n");
    wait_for_key();
    unsigned dirty = 0;
    for (uint64_t page = FIRST; page < memory_end; page += PAGE) {
        *(volatile uint64_t *)(page + 8) = 0; // it comes
        for (volatile uint64_t *word = (volatile uint64_t *)page;
             word < (volatile uint64_t *)(page + PAGE); word++)
            dirty += *word != 0;
    }
    say("TAKEN %u words are not zero\n", dirty);
    mark_all(0);
    say("HELD %u words are lost\n", count_lost(0));
    sleep();
}

// Looks for another's marks, and has marks of its own that must stay.
void seek(void)
{
    const uint64_t own = UINT64_C(1) << 40;
    unsigned found = 0;
    for (volatile uint64_t *word = (volatile uint64_t *)FIRST;
         word < (volatile uint64_t *)memory_end; word++)
        found += (*word & MARK_BITS) == MARK;
    say("SOUGHT %u marks in %llu MiB\n", found, (unsigned long long)((memory_end - FIRST) >> 20));
    mark_all(own);
    for (;;) {
        wait_for_key();
        say("STANDS %u words are lost\n", count_lost(own));
    }
}
