// What a VM may try so as to have more than its share of a CPU, or to cost its neighbours theirs.
#include "tests/guests/lib/smp.h"
#include "tests/guests/lib/virtio.h"
#include "tests/system/neighbour.h"

#define HYPERCALL_KICK  5
#define HYPERCALL_YIELD 11
#define IPI_VECTOR      0x40
#define TICK_VECTOR     0x41

static void hypercall(uint64_t number, uint64_t b, uint64_t c)
{
    __asm__ volatile("vmcall" : "+a"(number) : "b"(b), "c"(c) : "memory");
}

// The second vCPU does this, the first that.
static void with_sibling(void (*sibling)(void), void (*own)(void))
{
    apic_write(APIC_SVR, 0x1ff);
    check(smp_start(1), "the second vCPU runs");
    smp_begin(1, sibling);
    while (!is_over())
        own();
}

static void yield_to_first(void)
{
    while (!is_over())
        hypercall(HYPERCALL_YIELD, 0, 0);
}

static void yield_to_second(void)
{
    hypercall(HYPERCALL_YIELD, 1, 0);
}

void take_turns(void)
{
    with_sibling(yield_to_first, yield_to_second);
}

static void pause_often(void)
{
    for (unsigned i = 0; i < 2000; i++)
        __asm__ volatile("pause");
}

static void pause_till_the_end(void)
{
    while (!is_over())
        pause_often();
}

void take_turns_by_pause(void)
{
    with_sibling(pause_till_the_end, pause_often);
}

static void sleep_deaf(void)
{
    for (;;)
        __asm__ volatile("cli; hlt");
}

static void send_ipi(void)
{
    apic_send(1, ICR_ASSERT | IPI_VECTOR);
}

void call_the_deaf(void)
{
    count_vector(IPI_VECTOR); // until it is deaf
    with_sibling(sleep_deaf, send_ipi);
}

static void kick(void)
{
    hypercall(HYPERCALL_KICK, 0, 1);
}

void wake_by_kick(void)
{
    with_sibling(sleep_deaf, kick);
}

// To a vCPU that was never started.
static void send_init(void)
{
    apic_send(1, ICR_INIT | ICR_ASSERT);
}

void call_the_unstarted(void)
{
    while (!is_over())
        send_init();
}

void nap(void)
{
    pic_mask(UINT16_MAX); // the PIT runs
    apic_set_mode(true);
    apic_write(APIC_SVR, 0x1ff);
    count_vector(TICK_VECTOR);
    apic_write(APIC_LVT_TIMER, LVT_TSC_DEADLINE | TICK_VECTOR);
    while (!is_over()) {
        write_msr(MSR_TSC_DEADLINE, read_tsc() + tsc_hz / 1000000);
        __asm__ volatile("sti; hlt; cli");
    }
}

void crowd(void)
{
    apic_write(APIC_SVR, 0x1ff);
    for (unsigned i = 1; i < smp_count(); i++)
        if (smp_start(i))
            smp_begin(i, spin);
    spin();
}

#define FRAME     (12 + 1514)
#define NO_VECTOR 0xffff

// Frames to everybody, a whole ring of them for each notification.
void flood(void)
{
    static struct virtio_ring ring;
    static uint8_t frame[FRAME];
    struct virtio_function card;
    bool is_there = virtio_find(0, &card) && card.type == VIRTIO_NET;
    check(is_there, "a network card");
    if (!is_there)
        return;
    (void)virtio_negotiate(&card, VIRTIO_F_VERSION_1);
    for (unsigned i = 0; i < 6; i++) {
        frame[12 + i] = 0xff;
        frame[18 + i] = card.config[i];
    }
    virtio_enable(&card, 1, &ring, VIRTIO_RING, NO_VECTOR);
    for (unsigned i = 0; i < VIRTIO_RING; i++) {
        ring.descriptor[i] = (struct virtio_descriptor){(uint64_t)frame, FRAME, 0, 0};
        ring.available.entry[i] = (uint16_t)i;
    }
    ring.available.flags = 1; // no interrupts
    virtio_go(&card);
    unsigned sent = 0;
    for (uint16_t last = 0, used; !is_over(); sent += (uint16_t)(used - last), last = used) {
        used = ring.used.index;
        ring.available.index = (uint16_t)(used + VIRTIO_RING);
        virtio_notify(&card, 1);
    }
    say("SENT %u\n", sent);
}
