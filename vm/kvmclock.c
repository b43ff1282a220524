// Writes KVM's paravirtual clock into guest memory. The guest reads the version before and after
// the rest and tries again if it was odd or has changed. Called from the MSR table and by the run
// loop. See vm/kvmclock.h.

#include "vm/kvmclock.h"

#include "vm/vm.h"

#define SYSTEM_TIME_ENABLE BIT(0)
#define SYSTEM_TIME_FLAGS  (SYSTEM_TIME_ENABLE | BIT(1))

#define FLAG_TSC_STABLE 1

struct clock_page {
    uint32_t version;
    uint32_t reserved;
    uint64_t tsc_timestamp;
    uint64_t system_time;
    uint32_t tsc_to_system_mul; // nanoseconds for each shifted tick, 0.32 fixed point
    int8_t tsc_shift;           // left, of ticks
    uint8_t flags;
    uint8_t padding[2];
};
_Static_assert(sizeof(struct clock_page) == 32, "guests see this");

struct wall_page {
    uint32_t version;
    uint32_t seconds;
    uint32_t nanoseconds;
};
_Static_assert(sizeof(struct wall_page) == 12, "guests see this");

// Everything behind the version. False: not RAM.
static bool publish(const struct vcpu *vcpu, uint64_t at, const void *page, size_t size)
{
    return gmem_publish(&vcpu->vm->memory, gpa(at), gpa(at + sizeof(uint32_t)),
                        (const uint8_t *)page + sizeof(uint32_t), size - sizeof(uint32_t));
}

// The clock's 32.32 factor as a 0.32 one and a shift.
static void set_scale(struct clock_page *page, uint64_t ns_per_tsc)
{
    int shift = ns_per_tsc == 0 ? 0 : (int)highest_bit(ns_per_tsc) - 31;
    page->tsc_shift = (int8_t)shift;
    page->tsc_to_system_mul = (uint32_t)(shift < 0 ? ns_per_tsc << -shift : ns_per_tsc >> shift);
}

// False: not RAM.
static bool update(const struct vcpu *vcpu, uint64_t value)
{
    const struct vm *vm = vcpu->vm;
    if (!(value & SYSTEM_TIME_ENABLE))
        return true;
    struct clock_page page = {
        .tsc_timestamp = vm->clock.epoch + vcpu->tsc_offset,
        .flags = FLAG_TSC_STABLE,
    };
    set_scale(&page, vm->clock.ns_per_tsc);
    return publish(vcpu, value & ~SYSTEM_TIME_FLAGS, &page, sizeof(page));
}

void kvmclock_update(struct vcpu *vcpu)
{
    (void)update(vcpu, vcpu->msr.kvmclock_system);
}

bool kvmclock_set_system(struct vcpu *vcpu, uint32_t index, uint64_t value, uint64_t now)
{
    if (!update(vcpu, value))
        return false;
    vcpu->msr.kvmclock_system = value;
    return true;
}

bool kvmclock_set_wall(struct vcpu *vcpu, uint32_t index, uint64_t value, uint64_t now)
{
    struct vm *vm = vcpu->vm;
    struct wall_page page = {.seconds = (uint32_t)vm->host->wall_clock(vm)};
    if (!publish(vcpu, value, &page, sizeof(page)))
        return false;
    vcpu->msr.kvmclock_wall = value;
    return true;
}
