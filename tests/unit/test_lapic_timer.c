#include "tests/unit/apics.h"

#define VECTOR   0xec
#define PERIODIC 0x20000
#define DEADLINE 0x40000

static struct vcpu *const cpu = &vcpus[0];

static void set(uint32_t index, uint64_t value, uint64_t now)
{
    assert_true(lapic_write_msr(cpu, index, value, now));
}

static uint64_t get(uint32_t index, uint64_t now)
{
    uint64_t value;
    assert_true(lapic_read_msr(cpu, index, &value, now));
    return value;
}

#define set_lvt(value, now)     set(0x832, value, now)
#define set_initial(value, now) set(0x838, value, now)
#define current(now)            get(0x839, now)
#define set_divide(value, now)  set(0x83e, value, now)
#define set_tsc(value, now)     set(MSR_TSC_DEADLINE, value, now)
#define get_tsc(now)            get(MSR_TSC_DEADLINE, now)

// Ticks as the run loop does: whether an interrupt came.
static bool fires(uint64_t now)
{
    lapic_tick(cpu, now);
    int vector = take_vector(cpu);
    if (vector < 0)
        return false;
    assert_int_equal(vector, VECTOR);
    lapic_eoi(cpu);
    return true;
}

// ---- one-shot and periodic ----

static void divisors(void **state)
{
    static const struct {
        uint32_t value;
        unsigned divisor;
    } cases[] = {{0x0, 2},  {0x1, 4},  {0x2, 8},   {0x3, 16},
                 {0x8, 32}, {0x9, 64}, {0xa, 128}, {0xb, 1}};
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        x2apic_vm(state);
        set_lvt(VECTOR, 0);
        set_divide(cases[i].value, 0);
        set_initial(1000, 5000);
        assert_int_equal(cpu->lapic.deadline, 5000 + 1000 * cases[i].divisor);
        assert_int_equal(current(5000), 1000);
        assert_int_equal(current(5000 + cases[i].divisor - 1), 1000);
        assert_int_equal(current(5000 + cases[i].divisor), 999);
        assert_int_equal(current(5000 + 999 * cases[i].divisor), 1);
    }
}

static void one_shot_fires_once(void **state)
{
    set_divide(0xb, 0);
    set_lvt(VECTOR, 0);
    take_requests(cpu);
    set_initial(100, 10);
    assert_int_equal(take_requests(cpu), REQUEST_TIMER);
    assert_int_equal(get(0x838, 10), 100);
    assert_false(fires(109));
    assert_int_equal(current(109), 1);
    assert_int_equal(current(110), 0);
    assert_true(fires(110));
    assert_int_equal(cpu->lapic.deadline, NEVER);
    assert_int_equal(current(111), 0);
    assert_false(fires(1000));
}

static void periodic_keeps_its_pace(void **state)
{
    set_divide(0xb, 0);
    set_lvt(VECTOR | PERIODIC, 0);
    set_initial(100000, 0);
    assert_true(fires(103000)); // seen late
    assert_int_equal(cpu->lapic.deadline, 200000);
    assert_int_equal(current(103000), 97000);
    assert_false(fires(199999));
    assert_true(fires(200000));
    assert_true(fires(777000)); // four periods in one
    assert_int_equal(cpu->lapic.deadline, 800000);
    assert_false(fires(777000));
    assert_int_equal(current(850000), 50000); // due and not yet seen: the count has begun again
    set_initial(0, 850000);
    lapic_eoi(cpu);
    assert_int_equal(cpu->lapic.deadline, NEVER);
}

// Ticks that nobody could follow are fewer; the count shows each period all the same.
static void short_periods_come_together(void **state)
{
    set_divide(0xb, 0);
    set_lvt(VECTOR | PERIODIC, 0);
    set_initial(100, 0);
    assert_true(fires(100));
    assert_int_equal(cpu->lapic.deadline, 100 + TICK_LEAST + 100);
    assert_int_equal(current(101), 99);
    assert_int_equal(current(200), 100);
    assert_int_equal(current(1234), 66);
    assert_false(fires(100 + TICK_LEAST + 99));
    assert_true(fires(100 + TICK_LEAST + 100));
    lapic_eoi(cpu);
}

static void masked_timer_counts_in_silence(void **state)
{
    set_divide(0xb, 0);
    set_lvt(VECTOR | LVT_MASKED, 0);
    set_initial(100, 0);
    assert_int_equal(current(40), 60);
    assert_false(fires(100));
    assert_int_equal(cpu->lapic.deadline, NEVER);
}

static void the_longest_count(void **state)
{
    set_divide(0xa, 0);
    set_lvt(VECTOR, 0);
    set_initial(0xffffffff, 0);
    assert_int_equal(cpu->lapic.deadline, UINT64_C(0xffffffff) * 128);
    assert_int_equal(current(0), 0xffffffff);
}

static void a_new_divisor_keeps_the_count(void **state)
{
    set_divide(0xb, 0);
    set_lvt(VECTOR, 0);
    set_initial(100, 0);
    set_divide(0x0, 60);
    assert_int_equal(current(60), 40);
    assert_int_equal(cpu->lapic.deadline, 60 + 40 * 2);
}

static void a_new_count_does_not_lose_the_old_end(void **state)
{
    set_divide(0xb, 0);
    set_lvt(VECTOR, 0);
    set_initial(100, 0);
    set_initial(100, 150);
    assert_int_equal(take_vector(cpu), VECTOR);
    assert_int_equal(cpu->lapic.deadline, 250);
}

static void a_new_entry_does_not_lose_the_old_end(void **state)
{
    set_divide(0xb, 0);
    set_lvt(VECTOR, 0);
    set_initial(100, 0);
    set_lvt(VECTOR | LVT_MASKED, 150); // masked after its time had come
    assert_int_equal(take_vector(cpu), VECTOR);
}

// ---- TSC-deadline ----

static uint64_t guest_tsc(uint64_t now)
{
    return clock_tsc(&vm.clock, now) + cpu->tsc_offset;
}

static void deadline_fires_at_its_tsc(void **state)
{
    static const uint64_t offsets[] = {0, -TSC_EPOCH, UINT64_C(1) << 50, -(UINT64_C(1) << 50)};
    for (unsigned i = 0; i < ARRAY_LENGTH(offsets); i++) {
        x2apic_vm(state);
        cpu->tsc_offset = offsets[i];
        set_lvt(VECTOR | DEADLINE, 0);
        set_tsc(guest_tsc(1000) + 5000, 1000);
        assert_int_equal(cpu->lapic.deadline, 3500);
        uint64_t deadline = guest_tsc(1000) + 5001; // 2501 ns later at 2 GHz, rounded up
        set_tsc(deadline, 1000);
        assert_int_equal(get_tsc(1000), deadline);
        assert_int_equal(current(1000), 0);
        uint64_t due = cpu->lapic.deadline;
        assert_int_equal(due, 3501);
        // Never early: at the time at which it fires, every TSC is at the deadline or past it.
        assert_true(guest_tsc(due) - deadline < UINT64_C(1) << 63);
        assert_false(fires(due - 1));
        assert_true(fires(due));
        assert_int_equal(get_tsc(due), 0);
        assert_int_equal(cpu->lapic.deadline, NEVER);
    }
}

static void a_deadline_in_the_past_fires_at_once(void **state)
{
    set_lvt(VECTOR | DEADLINE, 0);
    static const uint64_t before[] = {0, 1, 1000};
    for (unsigned i = 0; i < ARRAY_LENGTH(before); i++) {
        take_requests(cpu);
        set_tsc(guest_tsc(1000000) - before[i], 1000000);
        assert_int_equal(take_requests(cpu), REQUEST_EVENT);
        assert_int_equal(get_tsc(1000000), 0);
        assert_int_equal(take_vector(cpu), VECTOR);
        lapic_eoi(cpu);
    }
    set_tsc(1, 1000000);
    assert_int_equal(take_vector(cpu), VECTOR);
}

static void a_new_deadline_does_not_lose_the_old_one(void **state)
{
    set_lvt(VECTOR | DEADLINE, 0);
    set_tsc(guest_tsc(0) + 1000, 0);
    set_tsc(guest_tsc(0) + 9000, 1000); // the first is due and nobody has ticked
    assert_int_equal(take_vector(cpu), VECTOR);
    assert_int_equal(cpu->lapic.deadline, 4500);
}

static void far_deadlines_never_come(void **state)
{
    set_lvt(VECTOR | DEADLINE, 0);
    set_tsc(UINT64_MAX, 1000);
    assert_int_equal(get_tsc(1000), UINT64_MAX);
    assert_true(cpu->lapic.deadline > UINT64_C(1) << 62);
    assert_int_equal(take_vector(cpu), -1);
    cpu->tsc_offset = -TSC_EPOCH; // that host TSC does not exist
    set_tsc(UINT64_MAX, 1000);
    assert_int_equal(cpu->lapic.deadline, NEVER);
    set_tsc(0, 1000);
    assert_int_equal(get_tsc(1000), 0);
    assert_int_equal(cpu->lapic.deadline, NEVER);
    clock_init(&vm.clock, 1000000, 0); // a slow TSC: nanoseconds do not fit 64 bits
    cpu->tsc_offset = 0;
    set_tsc(UINT64_MAX, 1000);
    assert_int_equal(cpu->lapic.deadline, NEVER);
}

static void other_modes_ignore_the_deadline(void **state)
{
    set_lvt(VECTOR | PERIODIC, 0);
    set_tsc(1, 1000);
    assert_int_equal(get_tsc(1000), 0);
    assert_int_equal(take_vector(cpu), -1);
    set_lvt(VECTOR | DEADLINE, 1000);
    set_initial(100, 1000); // and this mode ignores the count
    assert_int_equal(get(0x838, 1000), 0);
    assert_int_equal(cpu->lapic.deadline, NEVER);
}

static void leaving_a_mode_disarms(void **state)
{
    set_divide(0xb, 0);
    set_lvt(VECTOR | DEADLINE, 0);
    set_tsc(guest_tsc(0) + 1000, 0);
    set_lvt(VECTOR, 10);
    assert_int_equal(cpu->lapic.deadline, NEVER);
    assert_int_equal(get_tsc(10), 0);
    set_initial(1000, 10);
    set_lvt(VECTOR | PERIODIC, 20); // between these two the count goes on
    assert_int_equal(current(20), 990);
    set_lvt(VECTOR | DEADLINE, 30);
    assert_int_equal(cpu->lapic.deadline, NEVER);
    assert_int_equal(get_tsc(30), 0);
}

static void a_masked_deadline_passes_in_silence(void **state)
{
    set_lvt(VECTOR | DEADLINE | LVT_MASKED, 0);
    set_tsc(guest_tsc(0) + 1000, 0);
    assert_false(fires(501));
    assert_int_equal(get_tsc(501), 0);
}

static void the_deadline_moves_with_the_tsc(void **state)
{
    set_lvt(VECTOR | DEADLINE, 0);
    set_tsc(guest_tsc(0) + 20000, 0);
    uint64_t due = cpu->lapic.deadline;
    cpu->tsc_offset -= 2000; // the guest set its TSC back by a microsecond
    lapic_tsc_changed(cpu, 0);
    assert_int_equal(cpu->lapic.deadline, due + 1000);
    cpu->tsc_offset += 1000000;
    lapic_tsc_changed(cpu, 0);
    assert_int_equal(take_vector(cpu), VECTOR);
    assert_int_equal(get_tsc(0), 0);
    lapic_tsc_changed(cpu, 0); // nothing is armed
    lapic_eoi(cpu);
    assert_int_equal(take_vector(cpu), -1);
}

static void reading_sees_an_expiry(void **state)
{
    set_lvt(VECTOR | DEADLINE, 0);
    set_tsc(guest_tsc(0) + 1000, 0);
    assert_int_equal(get_tsc(1000), 0);
    assert_int_equal(take_vector(cpu), VECTOR);
}

int main(void)
{
#define X2APIC(test) cmocka_unit_test_setup(test, x2apic_vm)
    const struct CMUnitTest tests[] = {
        X2APIC(divisors),
        X2APIC(one_shot_fires_once),
        X2APIC(periodic_keeps_its_pace),
        X2APIC(short_periods_come_together),
        X2APIC(masked_timer_counts_in_silence),
        X2APIC(the_longest_count),
        X2APIC(a_new_divisor_keeps_the_count),
        X2APIC(a_new_count_does_not_lose_the_old_end),
        X2APIC(a_new_entry_does_not_lose_the_old_end),
        X2APIC(deadline_fires_at_its_tsc),
        X2APIC(a_deadline_in_the_past_fires_at_once),
        X2APIC(a_new_deadline_does_not_lose_the_old_one),
        X2APIC(far_deadlines_never_come),
        X2APIC(other_modes_ignore_the_deadline),
        X2APIC(leaving_a_mode_disarms),
        X2APIC(a_masked_deadline_passes_in_silence),
        X2APIC(the_deadline_moves_with_the_tsc),
        X2APIC(reading_sees_an_expiry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
