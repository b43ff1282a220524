// The clocks of the machine run at one rate: PM timer, PIT, TSC, local APIC timer, kvmclock.
#include "selftest/groups.h"
#include "tests/guests/lib/interrupts.h"
#include "tests/guests/lib/kvmclock.h"

#define MSR_WALL_CLOCK 0x4b564d00
#define PIT_HZ         1193182
#define INTERVAL       (20 * PM_TICKS_MS)
#define TOLERANCE      50 // one part in so many: the clocks are read one after the other

static volatile struct wall_page {
    uint32_t version, seconds, nanoseconds;
} wall_page;

// Whether `value` units of 1/`hertz` seconds are `nanoseconds`, within the tolerance.
static bool agrees(uint64_t value, uint64_t hertz, uint64_t nanoseconds)
{
    uint64_t found = value * 1000000 / hertz * 1000 + value * 1000000 % hertz * 1000 / hertz;
    uint64_t difference = found > nanoseconds ? found - nanoseconds : nanoseconds - found;
    return difference <= nanoseconds / TOLERANCE;
}

static void check_rates(void)
{
    uint64_t tsc_hz = (uint64_t)read_cpuid(0x40000010, 0).eax * 1000;
    apic_write(APIC_SVR, 0x1ff);
    apic_write(APIC_DIVIDE, TIMER_DIVIDE_BY_1);
    apic_write(APIC_LVT_TIMER, LVT_MASKED | 0x81);
    pit_count_begin();
    apic_write(APIC_INITIAL_COUNT, UINT32_MAX);

    uint32_t pm = pm_ticks();
    uint64_t nanoseconds = kvmclock(), tsc = read_tsc();
    uint32_t apic = apic_read(APIC_CURRENT_COUNT);
    unsigned pit = pit_count();
    pm_wait(INTERVAL);
    uint64_t pm_passed = pm_since(pm);
    nanoseconds = kvmclock() - nanoseconds;
    tsc = read_tsc() - tsc;
    apic -= apic_read(APIC_CURRENT_COUNT);
    pit -= pit_count();
    apic_write(APIC_INITIAL_COUNT, 0);

    check(agrees(pm_passed, PM_TIMER_HZ, nanoseconds), "PM timer and kvmclock: %llu ticks, %llu ns",
          (unsigned long long)pm_passed, (unsigned long long)nanoseconds);
    check(agrees(tsc, tsc_hz, nanoseconds), "TSC: %llu ticks at %llu kHz", (unsigned long long)tsc,
          (unsigned long long)tsc_hz / 1000);
    check(agrees(apic, 1000000000, nanoseconds), "local APIC timer: %u ticks", apic);
    check(agrees(pit, PIT_HZ, nanoseconds), "PIT: %u ticks", pit);
}

static void do_bad_page(void)
{
    write_msr(MSR_SYSTEM_TIME, UINT64_C(0xd0000001));
}

static void check_kvmclock(void)
{
    write_msr(MSR_SYSTEM_TIME, (uint64_t)&clock_page | 1);
    check(clock_page.version && !(clock_page.version & 1) && clock_page.factor &&
              (clock_page.flags & 1),
          "the clock's page is filled in, and stable");
    uint64_t last = kvmclock();
    bool monotonic = true;
    for (unsigned i = 0; i < 200; i++) {
        uint64_t now = kvmclock();
        monotonic &= now >= last;
        last = now;
        if (i % 20 == 0)
            in8(PORT_DELAY);
    }
    check(monotonic, "it never goes back");
    check(try_call(do_bad_page) == VECTOR_GP, "a page that is no memory: #GP");
    write_msr(MSR_WALL_CLOCK, (uint64_t)&wall_page);
    check(wall_page.version && !(wall_page.version & 1) && wall_page.seconds > 1577836800,
          "the wall clock is after 2020");
}

// The TSC may be moved; time goes on as if nothing had happened.
static void check_moved_tsc(void)
{
    uint64_t before = kvmclock(), adjust = read_msr(0x3b);
    write_msr(0x3b, adjust + BIT(36));
    uint64_t after = kvmclock();
    write_msr(0x3b, adjust);
    check(after >= before && after - before < 1000000, "kvmclock follows a moved TSC");
}

void check_time(void)
{
    check_kvmclock();
    check_rates();
    check_moved_tsc();
    write_msr(MSR_SYSTEM_TIME, 0);
}
