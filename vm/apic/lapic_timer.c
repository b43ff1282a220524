// The local APIC's timer: one-shot, periodic, TSC-deadline. It counts nanoseconds of VM time behind
// its divider; a TSC deadline is converted to VM time when it is written. Called by the registers
// and by the run loop. SDM: "APIC Timer", "TSC-Deadline Mode".
#include "vm/vm.h"

enum timer_mode { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_TSC_DEADLINE, TIMER_RESERVED };

static enum timer_mode mode_of(uint32_t lvt)
{
    return (enum timer_mode)FIELD_GET(LVT_TIMER_MODE, lvt);
}

static enum timer_mode mode(const struct vcpu *vcpu)
{
    return mode_of(lapic_get(&vcpu->lapic, LAPIC_LVT_TIMER));
}

// Nanoseconds of one count, as a power of two: 111B divides by 1, 000B by 2, ... 110B by 128.
static unsigned divide_shift(const struct vcpu *vcpu)
{
    uint32_t divide = lapic_get(&vcpu->lapic, LAPIC_DIVIDE);
    return (((divide >> 1 & 4) | (divide & 3)) + 1) & 7;
}

static uint64_t period(const struct vcpu *vcpu)
{
    return (uint64_t)lapic_get(&vcpu->lapic, LAPIC_INITIAL_COUNT) << divide_shift(vcpu);
}

static void set_deadline(struct vcpu *vcpu, uint64_t deadline)
{
    if (vcpu->lapic.deadline == deadline)
        return;
    vcpu->lapic.deadline = deadline;
    vcpu_note(vcpu, REQUEST_TIMER);
}

void lapic_timer_stop(struct vcpu *vcpu)
{
    vcpu->lapic.tsc_deadline = 0;
    set_deadline(vcpu, NEVER);
}

// The entry's delivery mode is always that of a fixed interrupt.
static void interrupt(struct vcpu *vcpu)
{
    uint32_t lvt = lapic_get(&vcpu->lapic, LAPIC_LVT_TIMER);
    if (!(lvt & LVT_MASKED))
        lapic_raise(vcpu, lvt & LVT_VECTOR);
}

// The periodic deadline that follows `now`: periods that nobody saw, or that are too short to be
// seen each, make one interrupt together.
static uint64_t next_period(const struct vcpu *vcpu, uint64_t now)
{
    uint64_t length = period(vcpu), deadline = vcpu->lapic.deadline;
    uint64_t gone = now - deadline + (length < TICK_LEAST ? TICK_LEAST : 0);
    return length == 0 ? NEVER : deadline + (gone / length + 1) * length;
}

void lapic_tick(struct vcpu *vcpu, uint64_t now)
{
    if (now < vcpu->lapic.deadline || vcpu->lapic.deadline == NEVER)
        return;
    vcpu->lapic.deadline = mode(vcpu) == TIMER_PERIODIC ? next_period(vcpu, now) : NEVER;
    vcpu->lapic.tsc_deadline = 0;
    interrupt(vcpu);
}

// ---- one-shot and periodic ----

uint32_t lapic_timer_current(const struct vcpu *vcpu, uint64_t now)
{
    uint64_t deadline = vcpu->lapic.deadline;
    if (deadline == NEVER || mode(vcpu) == TIMER_TSC_DEADLINE)
        return 0;
    if (deadline <= now) { // due, but the tick has not come yet
        if (mode(vcpu) != TIMER_PERIODIC)
            return 0;
        deadline = next_period(vcpu, now);
    }
    unsigned shift = divide_shift(vcpu);
    uint64_t left = deadline - now, length = period(vcpu);
    if (mode(vcpu) == TIMER_PERIODIC && length && left > length)
        left = (left - 1) % length + 1;
    return (uint32_t)((left + BIT(shift) - 1) >> shift);
}

void lapic_timer_set_count(struct vcpu *vcpu, uint32_t count, uint64_t now)
{
    if (mode(vcpu) == TIMER_TSC_DEADLINE)
        return;
    lapic_tick(vcpu, now); // the old count may be at its end
    lapic_set(&vcpu->lapic, LAPIC_INITIAL_COUNT, count);
    set_deadline(vcpu, count == 0 ? NEVER : now + period(vcpu));
}

// What is left of the count goes on at the new rate.
void lapic_timer_set_divide(struct vcpu *vcpu, uint32_t divide, uint64_t now)
{
    uint32_t count = lapic_timer_current(vcpu, now);
    lapic_set(&vcpu->lapic, LAPIC_DIVIDE, divide);
    if (count)
        set_deadline(vcpu, now + ((uint64_t)count << divide_shift(vcpu)));
}

void lapic_timer_set_lvt(struct vcpu *vcpu, uint32_t lvt, uint64_t now)
{
    lapic_tick(vcpu, now); // what is due belongs to the old entry
    if (!cpuid_has(&vcpu->vm->cpuid, CPUID_TSC_DEADLINE))
        lvt &= ~LVT_TSC_DEADLINE;
    bool was_deadline = mode(vcpu) == TIMER_TSC_DEADLINE;
    lapic_set(&vcpu->lapic, LAPIC_LVT_TIMER, lvt);
    if (was_deadline != (mode_of(lvt) == TIMER_TSC_DEADLINE))
        lapic_timer_stop(vcpu);
}

// ---- TSC-deadline ----

// The VM time at which the guest's TSC will have reached `guest_tsc`; at most `now` if it has.
static uint64_t tsc_to_deadline(const struct vcpu *vcpu, uint64_t guest_tsc, uint64_t now)
{
    const struct clock *clock = &vcpu->vm->clock;
    // Not after the TSC of now, and not long before it: it only tells the past from the future.
    uint64_t host_now = clock->epoch + scale_32(now, clock->tsc_per_ns), host;
    uint64_t guest_now = host_now + vcpu->tsc_offset;
    if (guest_tsc <= guest_now)
        return 0;
    if (__builtin_add_overflow(host_now, guest_tsc - guest_now, &host))
        return NEVER;
    // The first nanosecond that only TSCs from `host` on show: never early, not even within one.
    unsigned __int128 ns = (unsigned __int128)(host - 1 - clock->epoch) * clock->ns_per_tsc >> 32;
    return ns >= NEVER - 1 ? NEVER : (uint64_t)ns + 1;
}

static void arm(struct vcpu *vcpu, uint64_t now)
{
    uint64_t deadline = tsc_to_deadline(vcpu, vcpu->lapic.tsc_deadline, now);
    if (deadline > now) {
        set_deadline(vcpu, deadline);
        return;
    }
    lapic_timer_stop(vcpu);
    interrupt(vcpu);
}

void lapic_timer_set_deadline(struct vcpu *vcpu, uint64_t guest_tsc, uint64_t now)
{
    if (mode(vcpu) != TIMER_TSC_DEADLINE)
        return;
    lapic_tick(vcpu, now); // the old deadline may be due
    vcpu->lapic.tsc_deadline = guest_tsc;
    if (guest_tsc == 0)
        lapic_timer_stop(vcpu);
    else
        arm(vcpu, now);
}

void lapic_tsc_changed(struct vcpu *vcpu, uint64_t now)
{
    if (vcpu->lapic.tsc_deadline)
        arm(vcpu, now);
}
