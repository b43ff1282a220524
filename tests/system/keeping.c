// A neighbour that knows what it had before it was saved: see neighbour.h.

#include "tests/system/neighbour.h"

#include "tests/guests/lib/smp.h"

#define PATTERN     UINT64_C(0x1000000) // 1 MiB of it
#define WORDS       (UINT64_C(0x100000) / 8)
#define TICK_VECTOR 0x41
#define TICKS_HZ    50
#define DR_VALUE    UINT64_C(0x123456789000)
#define GS_VALUE    UINT64_C(0xffff888012345000)
#define MSR_GS      0xc0000102 // KERNEL_GS_BASE
#define LINE_STATUS 5
#define LINE_DATA   0x01

static volatile uint64_t ticks, turns; // of this vCPU's timer, and of the other vCPU

static void take_tick(struct trap_frame *frame)
{
    (void)frame;
    ticks++;
    apic_write(APIC_EOI, 0);
}

static void take_turns_for_ever(void)
{
    for (;;)
        turns++;
}

static uint64_t word_at(uint64_t i)
{
    return (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

// How many words of memory, and which registers, are not as they were.
static unsigned lost(void)
{
    const volatile uint64_t *memory = (const volatile uint64_t *)PATTERN;
    unsigned count = 0;
    uint64_t register_value, vector;
    for (uint64_t i = 0; i < WORDS; i++)
        count += memory[i] != word_at(i);
    register_value = read_dr1();
    __asm__ volatile("movq %%xmm5, %0" : "=r"(vector));
    return count + (register_value != DR_VALUE) + (vector != word_at(5)) +
           (read_msr(MSR_GS) != GS_VALUE);
}

// Sets all of it, then says at each key what is left of it. `ticks` and `turns` of a key ago are
// behind: everything goes on.
void keep(void)
{
    uint64_t seen_ticks = 0, seen_turns = 0;
    for (uint64_t i = 0; i < WORDS; i++)
        ((volatile uint64_t *)PATTERN)[i] = word_at(i);
    write_cr4(read_cr4() | CR4_OSFXSR);
    write_dr1(DR_VALUE);
    __asm__ volatile("movq %0, %%xmm5" : : "r"(word_at(5)));
    write_msr(MSR_GS, GS_VALUE);
    trap_handlers[TICK_VECTOR] = take_tick;
    apic_write(APIC_SVR, 0x1ff);
    check(smp_start(1), "the second vCPU runs");
    smp_begin(1, take_turns_for_ever);
    apic_write(APIC_DIVIDE, TIMER_DIVIDE_BY_1);
    apic_write(APIC_LVT_TIMER, LVT_PERIODIC | TICK_VECTOR);
    apic_write(APIC_INITIAL_COUNT, 1000000000 / TICKS_HZ);
    say("keeping\n");
    for (;;) {
        __asm__ volatile("sti; hlt; cli"); // a tick wakes it
        if (!(in8(PORT_COM1 + LINE_STATUS) & LINE_DATA))
            continue;
        uint8_t key = in8(PORT_COM1);
        say("KEPT %c lost=%u ticks=%s turns=%s after=%lu\n", key, lost(),
            ticks > seen_ticks ? "on" : "stopped", turns > seen_turns ? "on" : "stopped", ticks);
        seen_ticks = ticks;
        seen_turns = turns;
    }
}
