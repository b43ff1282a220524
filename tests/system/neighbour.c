// One of many VMs: its command line says what it does to its machine, `WHAT [SECONDS]`. After that
// time (0, the default: never) it switches itself off. Built like the guests of tests/guests/ and
// started by the cases of tests/system/ that need several VMs.
#include "tests/guests/lib/smp.h"
#include "tests/guests/lib/kvmclock.h"
#include "tests/system/neighbour.h"

#define INFO_CMDLINE    BIT32(2)
#define MEMORY_UPPER    (UINT64_C(1) << 20)
#define PIC_EOI         0x20
#define IPI_VECTOR      0x40
#define TICK_VECTOR     0x41
#define TICKS_HZ        19 // slower than a vCPU that waits for its turn
#define AWAY_PER_SECOND 20000
#define NOBODY          UINT64_C(0xd0000000)

struct information {
    uint32_t flags, memory_lower, memory_upper;
    uint32_t boot_device, cmdline;
};

uint64_t tsc_hz, end, memory_end;

bool is_over(void)
{
    return end && read_tsc() >= end;
}

// ---- what ends a VM ----

static void reset(void)
{
    out8(PORT_RESET, RESET_VALUE);
}

static void triple_fault(void)
{
    static const struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) none;
    __asm__ volatile("lidt %0; ud2" : : "m"(none));
}

static void fetch_from_nowhere(void)
{
    ((void (*)(void))UINT64_C(0xd0000000))();
}

static void power_off(void) {}

// ---- what a neighbour could feel ----

void spin(void)
{
    while (!is_over())
        ;
}

static void hammer_ports(void)
{
    while (!is_over()) {
        out8(PORT_DELAY, 0);
        in32(0x5658);             // nobody there
        out8(PORT_PIT + 3, 0x80); // latch channel 2
        in8(PORT_PIT + 2);
        in8(PORT_RTC + 1);
    }
}

// The next interrupt is always pending already: nothing else runs.
static void take_storm(struct trap_frame *frame)
{
    if (frame->vector == 0x20)
        out8(PORT_PIC_MASTER, PIC_EOI);
    else
        apic_write(APIC_EOI, 0);
    if (is_over())
        guest_power_off();
}

static void storm_interrupts(void)
{
    apic_set_mode(true);
    apic_write(APIC_SVR, 0x1ff);
    apic_write(APIC_DIVIDE, TIMER_DIVIDE_BY_1);
    trap_handlers[IPI_VECTOR] = trap_handlers[TICK_VECTOR] = trap_handlers[0x20] = take_storm;
    apic_write(APIC_LVT_TIMER, LVT_PERIODIC | TICK_VECTOR);
    apic_write(APIC_INITIAL_COUNT, 1); // each nanosecond
    pic_init();
    pit_start(100000);
    pic_mask((uint16_t)~BIT(IRQ_PIT));
    enable_interrupts();
    while (!is_over())
        apic_send(0, ICR_SELF | ICR_ASSERT | IPI_VECTOR);
}

static void violate_ept(void)
{
    for (uint64_t address = NOBODY; !is_over(); address += 4096) {
        *(volatile uint32_t *)address = 1;
        if (address > NOBODY + (UINT64_C(64) << 20))
            address = NOBODY;
    }
}

static void flush_cache(void)
{
    while (!is_over()) {
        __asm__ volatile("wbinvd" : : : "memory");
        write_cr3(read_cr3());
    }
}

void sleep(void)
{
    if (!end) {
        for (;;)
            __asm__ volatile("cli; hlt");
    }
    apic_set_mode(true);
    apic_write(APIC_SVR, 0x1ff);
    count_vector(TICK_VECTOR);
    apic_write(APIC_LVT_TIMER, LVT_TSC_DEADLINE | TICK_VECTOR);
    write_msr(MSR_TSC_DEADLINE, end);
    while (!is_over())
        __asm__ volatile("sti; hlt; cli");
}

// Asleep but for 250 ticks a second.
static void tick(void)
{
    apic_set_mode(true);
    apic_write(APIC_SVR, 0x1ff);
    apic_write(APIC_DIVIDE, TIMER_DIVIDE_BY_1);
    count_vector(TICK_VECTOR);
    apic_write(APIC_LVT_TIMER, LVT_PERIODIC | TICK_VECTOR);
    apic_write(APIC_INITIAL_COUNT, 1000000000 / 250);
    while (!is_over())
        __asm__ volatile("sti; hlt; cli");
}

// ---- what it feels of its neighbours ----

static bool is_near(uint64_t value, uint64_t expected, uint64_t tolerance)
{
    return value + tolerance >= expected && value <= expected + tolerance;
}

// Sleeps from tick to tick of the PIT. It must see every one, and the clocks must agree on how long
// that took.
static void watch_clock(void)
{
    uint64_t last = 0, longest = 0;
    bool monotonic = true;
    write_msr(MSR_SYSTEM_TIME, (uint64_t)&clock_page | 1);
    pic_init();
    count_vector(0x20);
    pit_start(TICKS_HZ);
    pic_mask((uint16_t)~BIT(IRQ_PIT));
    uint64_t tsc = read_tsc(), nanoseconds = kvmclock(), before = tsc;
    uint32_t pm = pm_ticks();
    uint64_t pm_total = 0;
    while (!is_over()) {
        __asm__ volatile("sti; hlt; cli");
        uint64_t now = kvmclock(), here = read_tsc();
        monotonic &= now >= last;
        last = now;
        longest = MAX(longest, here - before);
        before = here;
        pm_total += pm_since(pm);
        pm = pm_ticks();
    }
    tsc = read_tsc() - tsc;
    nanoseconds = kvmclock() - nanoseconds;
    uint64_t ms = nanoseconds / 1000000, ticks = ms * TICKS_HZ / 1000;
    check(monotonic, "kvmclock never goes back");
    check(is_near(tsc / (tsc_hz / 1000), ms, 1), "TSC and kvmclock agree: %llu ms",
          (unsigned long long)ms);
    check(is_near(pm_total / (PM_TIMER_HZ / 1000), ms, ms / 500 + 2),
          "the PM timer agrees: %llu ms", (unsigned long long)(pm_total / (PM_TIMER_HZ / 1000)));
    check(is_near(taken[0x20], ticks, 1), "%u of %llu ticks were seen", taken[0x20],
          (unsigned long long)ticks);
    check(longest < tsc_hz / TICKS_HZ * 2, "the latest tick came after %llu ms",
          (unsigned long long)(longest * 1000 / tsc_hz));
}

// Spins, and counts the time in which it did not run: `SHARE` in hundredths of a percent, and the
// longest that it was `AWAY` at a time, in microseconds. Its neighbours begin and end a little
// before or after it: the first and the last eighth of its time do not count.
static void measure_share(void)
{
    uint64_t edge = (end - read_tsc()) / 8, last = read_tsc(), away = 0, longest = 0;
    uint64_t first = last + edge, stop = end - edge;
    while (last < end) {
        uint64_t now = read_tsc(), gap = now - last;
        uint64_t from = MAX(last, first), to = MIN(now, stop); // of the gap, what counts
        if (from < to && gap > tsc_hz / AWAY_PER_SECOND)
            away += to - from;
        if (from < to)
            longest = MAX(longest, gap);
        last = now;
    }
    say("SHARE %llu\n", (unsigned long long)(10000 - away * 10000 / (stop - first)));
    say("AWAY %llu\n", (unsigned long long)(longest * 1000000 / tsc_hz));
}

static void share_with_interrupts(void)
{
    pic_mask(UINT16_MAX); // the PIT runs
    enable_interrupts();
    measure_share();
}

// The second vCPU sleeps, the first wakes it with an IPI now and then: `LATE`, the longest that it
// took to run, in microseconds.
static volatile uint64_t woken_at;

static void note_waking(struct trap_frame *frame)
{
    (void)frame;
    woken_at = read_tsc();
    apic_write(APIC_EOI, 0);
}

static void sleep_for_ever(void)
{
    for (;;)
        __asm__ volatile("sti; hlt");
}

static void measure_waking(void)
{
    uint64_t late = 0;
    apic_write(APIC_SVR, 0x1ff);
    trap_handlers[IPI_VECTOR] = note_waking;
    check(smp_start(1), "the second vCPU runs");
    smp_begin(1, sleep_for_ever);
    while (!is_over()) {
        for (uint64_t next = read_tsc() + tsc_hz / 40; read_tsc() < next;)
            ;
        uint64_t sent = read_tsc();
        woken_at = 0;
        apic_send(1, ICR_ASSERT | IPI_VECTOR);
        while (!woken_at)
            ;
        late = MAX(late, woken_at - MIN(sent, woken_at));
    }
    say("LATE %llu\n", (unsigned long long)(late * 1000000 / tsc_hz));
}

// ---- the choice ----

static const struct behaviour {
    const char *name;
    void (*run)(void);
} behaviours[] = {
    {"reset", reset},
    {"triple-fault", triple_fault},
    {"power-off", power_off},
    {"spin", spin},
    {"ports", hammer_ports},
    {"storm", storm_interrupts},
    {"ept", violate_ept},
    {"flush", flush_cache},
    {"sleep", sleep},
    {"tick", tick},
    {"clock", watch_clock},
    {"share", share_with_interrupts},
    {"deaf", measure_share},
    {"wake", measure_waking},
    {"hang", hang},
    {"pose", pose},
    {"button", wait_for_button},
    {"com1", listen_on_com1},
    {"com2", listen_on_com2},
    {"chatter", chatter},
    {"lost", fetch_from_nowhere},
    {"forge", forge},
    {"yields", take_turns},
    {"pauses", take_turns_by_pause},
    {"ipis", call_the_deaf},
    {"inits", call_the_unstarted},
    {"kicks", wake_by_kick},
    {"naps", nap},
    {"floods", flood},
    {"crowd", crowd},
    {"rings", play_rings},
    {"flood", flood_disk},
    {"keep", keep},
    {"lend", lend},
    {"seek", seek},
    {"debugged", be_debugged},
};

static const char *skip_word(const char *text)
{
    while (*text && *text != ' ')
        text++;
    while (*text == ' ')
        text++;
    return text;
}

static bool begins_with(const char *text, const char *word)
{
    size_t length = strlen(word);
    return memcmp(text, word, MIN(length, strlen(text) + 1)) == 0 &&
           (!text[length] || text[length] == ' ');
}

static uint64_t number(const char *text)
{
    uint64_t value = 0;
    for (; *text >= '0' && *text <= '9'; text++)
        value = value * 10 + (uint64_t)(*text - '0');
    return value;
}

void guest_main(uint32_t magic, uint64_t address)
{
    (void)magic;
    const struct information *information = (const struct information *)address;
    const char *text =
        information->flags & INFO_CMDLINE ? (const char *)(uint64_t)information->cmdline : "";
    tsc_hz = (uint64_t)read_cpuid(0x40000010, 0).eax * 1000;
    memory_end = MEMORY_UPPER + (uint64_t)information->memory_upper * 1024;
    uint64_t seconds = number(skip_word(text));
    end = seconds ? read_tsc() + seconds * tsc_hz : 0;
    pic_mask(UINT16_MAX); // a BIOS leaves the PIT's interrupt on, at vector 8
    for (unsigned i = 0; i < ARRAY_LENGTH(behaviours); i++)
        if (begins_with(text, behaviours[i].name)) {
            behaviours[i].run();
            return;
        }
    check(false, "nothing to do on the command line \"%s\"", text);
}
