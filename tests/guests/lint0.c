// LVT LINT0 as a fixed interrupt and as NMI: each tick of the 8254 comes through the 8259s, which
// nobody acknowledges, as the kernel's timer by "Virtual Wire IRQ" and NMI watchdogs have it.
#include "tests/guests/lib/interrupts.h"

#define FIXED_VECTOR 0x60
#define TICKS        5
#define LEVEL_VECTOR 0x2f // its handler sends the local APIC no EOI
#define LEVEL        BIT32(15)
#define REMOTE_IRR   BIT32(14)
#define UART_ENABLE  (PORT_COM1 + 1)
#define UART_EMPTY   2
#define UART_MODEM   (PORT_COM1 + 4)
#define UART_OUT2    8 // lets its interrupt out

static void lint0(uint32_t entry, uint16_t mask)
{
    pic_mask(0xffff);
    pit_stop();
    pic_init();
    forget_taken();
    apic_write(APIC_LVT_LINT0, entry);
    pic_mask(mask);
    pit_start(1000);
}

// NMIs, interrupts off, for a time in which `TICKS` must have come.
static unsigned nmis(void)
{
    uint32_t from = pm_ticks();
    while (pm_since(from) < 20 * PM_TICKS_MS && taken[2] < TICKS)
        __asm__ volatile("pause");
    return taken[2];
}

// The UART's interrupt, a level as long as it is enabled.
static void level(void)
{
    count_vector(LEVEL_VECTOR);
    lint0(LEVEL | LEVEL_VECTOR, 0xffef);
    out8(UART_MODEM, UART_OUT2);
    out8(UART_ENABLE, UART_EMPTY);
    bool once = wait_taken(LEVEL_VECTOR, 1) && !wait_taken(LEVEL_VECTOR, 2);
    uint32_t served = apic_read(APIC_LVT_LINT0);
    apic_write(APIC_EOI, 0);
    bool again = wait_taken(LEVEL_VECTOR, 2) && !wait_taken(LEVEL_VECTOR, 3);
    out8(UART_ENABLE, 0);
    apic_write(APIC_EOI, 0);
    bool over = !wait_taken(LEVEL_VECTOR, 3);
    uint32_t ended = apic_read(APIC_LVT_LINT0);
    check(once && again && over, "level: one, and one more after its EOI (%u)",
          taken[LEVEL_VECTOR]);
    check((served & REMOTE_IRR) && !(ended & REMOTE_IRR), "its remote IRR until then (%#x, %#x)",
          served, ended);
}

void guest_main(uint32_t magic, uint64_t information)
{
    (void)magic, (void)information;
    apic_write(APIC_SVR, 0x1ff);
    count_vector(0x20);
    count_vector(FIXED_VECTOR);
    count_vector(2);

    lint0(0x700, 0xfffe);
    check(wait_taken(0x20, TICKS), "ExtINT: the 8259's vector (%u)", taken[0x20]);
    lint0(FIXED_VECTOR, 0xfffe);
    check(wait_taken(FIXED_VECTOR, TICKS) && taken[0x20] == 0,
          "fixed: its own vector at each tick (%u), and not the 8259's (%u)", taken[FIXED_VECTOR],
          taken[0x20]);
    lint0(LVT_MASKED | FIXED_VECTOR, 0xfffe);
    check(!wait_taken(FIXED_VECTOR, 1), "masked: none");
    lint0(FIXED_VECTOR, 0xffff);
    check(!wait_taken(FIXED_VECTOR, 1), "masked at the 8259: none");
    level();
    lint0(0x400, 0xfffe);
    check(nmis() >= TICKS, "NMI: at each tick, interrupts off (%u)", taken[2]);
    lint0(0x700, 0xfffe);
    check(wait_taken(0x20, TICKS), "ExtINT again (%u)", taken[0x20]);
}
