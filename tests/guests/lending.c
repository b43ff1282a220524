// One CPU lends pages to the machine by a balloon while a device fills them for another, in another
// large page each time: both devices do their work, nobody else is hurt, and the pages are the
// guest's again when it writes to them.
// vm: cpus = 2
// vm: memory = 128M
// vm: balloon = yes
// vm: testdev = on
// vm: modules = lending.elf
// models: corei7_haswell_4770 corei7_skylake_x
#include "tests/guests/lib/smp.h"
#include "tests/guests/lib/virtio.h"
#include "vm/address.h"

#define FIRST  UINT64_C(0x1000000)
#define LENT   16 // pages at the beginning of a large one
#define ROUNDS 50
#define DELAY  24
#define WAITS  10000000

#define FIRST_FILE  0x20 // key of fw_cfg
#define DMA_READ    BIT32(1)
#define DMA_SELECT  BIT32(3)
#define DMA_KEY_BIT 16

// The file that is read is this guest itself: so much of it there is.
static const uint8_t bulk[LENT * PAGE_SIZE] __attribute__((used)) = {1};

static struct virtio_function balloon;
static struct virtio_ring ring;
static volatile unsigned begun, filled;

static uint64_t place(unsigned round)
{
    return FIRST + round * PAGE_2M;
}

static bool begin_balloon(void)
{
    for (unsigned slot = 0; virtio_find(slot, &balloon); slot = balloon.slot + 1) {
        if (balloon.type != VIRTIO_BALLOON)
            continue;
        (void)virtio_negotiate(&balloon, VIRTIO_F_VERSION_1);
        virtio_enable(&balloon, 0, &ring, VIRTIO_RING, VIRTIO_NO_VECTOR);
        virtio_go(&balloon);
        return true;
    }
    return false;
}

// With a file of fw_cfg, by DMA.
static bool fill_place(unsigned round)
{
    static struct {
        volatile uint32_t control;
        uint32_t length;
        uint64_t address;
    } dma;
    dma.length = __builtin_bswap32(LENT * PAGE_SIZE);
    dma.address = __builtin_bswap64(place(round));
    dma.control = __builtin_bswap32(FIRST_FILE << DMA_KEY_BIT | DMA_SELECT | DMA_READ);
    out32(PORT_FW_CFG + 8, __builtin_bswap32((uint32_t)(uintptr_t)&dma));
    for (unsigned i = 0; i < WAITS && dma.control; i++)
        __asm__ volatile("pause");
    return dma.control == 0;
}

// On the second CPU.
static void fill(void)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        while (begun == round)
            __asm__ volatile("pause");
        for (unsigned i = 0; i < DELAY * round; i++) // they meet at another page each time
            __asm__ volatile("pause; pause; pause; pause; pause; pause; pause; pause");
        if (!fill_place(round))
            return;
        filled = round + 1;
    }
}

// The last page first: the device is not there yet.
static bool lend(unsigned round)
{
    static uint32_t number[LENT];
    for (unsigned i = 0; i < LENT; i++)
        number[i] = (uint32_t)(place(round) / PAGE_SIZE) + LENT - 1 - i;
    ring.descriptor[0] = (struct virtio_descriptor){(uint64_t)number, sizeof(number), 0, 0};
    ring.available.entry[ring.available.index % VIRTIO_RING] = 0;
    __asm__ volatile("" : : : "memory");
    ring.available.index++;
    virtio_notify(&balloon, 0);
    for (unsigned i = 0; i < WAITS && ring.used.index != ring.available.index; i++)
        __asm__ volatile("pause");
    return ring.used.index == ring.available.index;
}

static bool stays(unsigned round)
{
    unsigned lost = 0;
    for (unsigned i = 0; i < LENT; i++)
        *(volatile uint64_t *)(place(round) + i * PAGE_SIZE) = i + 1;
    for (unsigned i = 0; i < LENT; i++)
        lost += *(volatile uint64_t *)(place(round) + i * PAGE_SIZE) != i + 1;
    return lost == 0;
}

void guest_main(uint32_t magic, uint64_t information)
{
    unsigned lent = 0, kept = 0;
    (void)magic;
    (void)information;
    apic_write(APIC_SVR, 0x1ff);
    check(begin_balloon(), "there is a balloon");
    check(fill_place(ROUNDS) && memcmp((const void *)place(ROUNDS), "\177ELF", 4) == 0,
          "there is a file");
    check(smp_start(1), "the second CPU runs");
    smp_begin(1, fill);
    for (unsigned round = 0; round < ROUNDS; round++) {
        begun = round + 1;
        lent += lend(round);
        for (unsigned i = 0; i < WAITS && filled == round; i++)
            __asm__ volatile("pause");
        kept += stays(round);
    }
    check(lent == ROUNDS, "pages are lent (%u of %u times)", lent, ROUNDS);
    check(filled == ROUNDS, "a device fills them (%u of %u times)", filled, ROUNDS);
    check(kept == ROUNDS, "they are the guest's again (%u of %u times)", kept, ROUNDS);
}
