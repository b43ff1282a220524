// The interrupt controllers and the timers, from the guest's side.
#include "tests/guests/lib/interrupts.h"

#define IOAPIC         ((volatile void *)MMIO_IOAPIC)
#define IOAPIC_WINDOW  0x10
#define IOAPIC_ENTRIES 0x10
#define PIC_EOI        0x20
#define PIC_BASE       0x20
#define PIC_INIT       0x11
#define PIT_COMMAND    (PORT_PIT + 3)
#define PIT_RATE       0x34 // channel 0, both bytes, mode 2
#define PIT_ONCE       0x30 // mode 0: it does not begin without a count
#define PIT_CLOCK      1193182
#define PM_TIMER_MASK  0xffffff

bool apic_is_x2;
volatile unsigned taken[256];
volatile uint8_t taken_order[32];
volatile unsigned taken_total;
volatile uint64_t taken_rip;

// ---- the local APIC ----

// The way from x2APIC mode back leads over the disabled APIC.
void apic_set_mode(bool x2apic)
{
    uint64_t base = read_msr(MSR_APIC_BASE);
    if (x2apic) {
        write_msr(MSR_APIC_BASE, base | APIC_BASE_X2APIC);
    } else if (base & APIC_BASE_X2APIC) {
        base &= ~(APIC_BASE_X2APIC | APIC_BASE_ENABLE);
        write_msr(MSR_APIC_BASE, base);
        write_msr(MSR_APIC_BASE, base | APIC_BASE_ENABLE);
    }
    apic_is_x2 = x2apic;
}

uint32_t apic_read(unsigned offset)
{
    return apic_is_x2 ? (uint32_t)read_msr(MSR_X2APIC + offset / 16)
                      : mmio_read32(APIC_ADDRESS, offset);
}

void apic_write(unsigned offset, uint32_t value)
{
    if (apic_is_x2)
        write_msr(MSR_X2APIC + offset / 16, value);
    else
        mmio_write32(APIC_ADDRESS, offset, value);
}

void apic_send(uint32_t destination, uint32_t command)
{
    if (apic_is_x2) {
        write_msr(MSR_X2APIC + APIC_ICR / 16, (uint64_t)destination << 32 | command);
        return;
    }
    apic_write(APIC_ICR_HIGH, destination << 24);
    apic_write(APIC_ICR, command);
}

bool apic_bit(unsigned offset, uint8_t vector)
{
    return apic_read(offset + vector / 32 * 16) >> vector % 32 & 1;
}

// ---- the others ----

uint32_t ioapic_read(unsigned index)
{
    mmio_write32(IOAPIC, 0, index);
    return mmio_read32(IOAPIC, IOAPIC_WINDOW);
}

void ioapic_write(unsigned index, uint32_t value)
{
    mmio_write32(IOAPIC, 0, index);
    mmio_write32(IOAPIC, IOAPIC_WINDOW, value);
}

void ioapic_route(unsigned input, uint64_t entry)
{
    ioapic_write(IOAPIC_ENTRIES + 2 * input + 1, (uint32_t)(entry >> 32));
    ioapic_write(IOAPIC_ENTRIES + 2 * input, (uint32_t)entry);
}

void pic_mask(uint16_t mask)
{
    out8(PORT_PIC_MASTER + 1, (uint8_t)mask);
    out8(PORT_PIC_SLAVE + 1, (uint8_t)(mask >> 8));
}

void pic_init(void)
{
    out8(PORT_PIC_MASTER, PIC_INIT);
    out8(PORT_PIC_SLAVE, PIC_INIT);
    out8(PORT_PIC_MASTER + 1, PIC_BASE);
    out8(PORT_PIC_SLAVE + 1, PIC_BASE + 8);
    out8(PORT_PIC_MASTER + 1, 4);
    out8(PORT_PIC_SLAVE + 1, 2);
    out8(PORT_PIC_MASTER + 1, 1);
    out8(PORT_PIC_SLAVE + 1, 1);
    pic_mask(0xffff);
}

void pit_start(unsigned hertz)
{
    unsigned count = PIT_CLOCK / hertz;
    out8(PIT_COMMAND, PIT_RATE);
    out8(PORT_PIT, (uint8_t)count);
    out8(PORT_PIT, (uint8_t)(count >> 8));
}

void pit_stop(void)
{
    out8(PIT_COMMAND, PIT_ONCE);
}

void pit_count_begin(void)
{
    out8(PORT_SYSTEM_B, (uint8_t)((in8(PORT_SYSTEM_B) & ~2) | 1));
    out8(PIT_COMMAND, 0xb0); // channel 2, both bytes, mode 0
    out8(PORT_PIT + 2, 0xff);
    out8(PORT_PIT + 2, 0xff);
}

unsigned pit_count(void)
{
    out8(PIT_COMMAND, 0x80); // latch channel 2
    unsigned low = in8(PORT_PIT + 2);
    return low | (unsigned)in8(PORT_PIT + 2) << 8;
}

// ---- counting ----

static void end_of_interrupt(uint64_t vector)
{
    if (vector == VECTOR_NMI)
        return;
    if (vector < PIC_BASE || vector >= PIC_BASE + 16) {
        apic_write(APIC_EOI, 0);
        return;
    }
    if (vector >= PIC_BASE + 8)
        out8(PORT_PIC_SLAVE, PIC_EOI);
    out8(PORT_PIC_MASTER, PIC_EOI);
}

static void count(struct trap_frame *frame)
{
    taken[frame->vector]++;
    taken_rip = frame->rip;
    if (taken_total < ARRAY_LENGTH(taken_order))
        taken_order[taken_total] = (uint8_t)frame->vector;
    taken_total++;
    end_of_interrupt(frame->vector);
}

void count_vector(uint8_t vector)
{
    trap_handlers[vector] = count;
}

void forget_taken(void)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(taken); i++)
        taken[i] = 0;
    taken_total = 0;
    taken_rip = 0;
}

bool wait_taken(uint8_t vector, unsigned wanted)
{
    uint32_t start = pm_ticks();
    enable_interrupts();
    while (taken[vector] < wanted && pm_since(start) < 20 * PM_TICKS_MS)
        __asm__ volatile("pause");
    disable_interrupts();
    return taken[vector] >= wanted;
}

uint32_t pm_ticks(void)
{
    return in32(PORT_PM_TIMER);
}

uint32_t pm_since(uint32_t start)
{
    return (pm_ticks() - start) & PM_TIMER_MASK;
}

void pm_wait(uint32_t ticks)
{
    uint32_t start = pm_ticks();
    while (pm_since(start) < ticks)
        __asm__ volatile("pause");
}
