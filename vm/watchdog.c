// The judgement of the watchdog: see vm/watchdog.h.

#include "vm/watchdog.h"

#include "lib/print.h"

#define TIGHT_LOOP 128 // bytes

// What happens to a guest that does nothing, or that waits in a loop.
static bool shows_life(uint32_t reason)
{
    return reason != EXIT_EXCEPTION_NMI && reason != EXIT_EXTERNAL_INTERRUPT &&
           reason != EXIT_INTERRUPT_WINDOW && reason != EXIT_NMI_WINDOW &&
           reason != EXIT_PREEMPTION_TIMER && reason != EXIT_PAUSE;
}

bool watchdog_sees_exits(struct watchdog *dog, const struct vm *vm)
{
    uint64_t exits = 0;
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        for (uint32_t reason = 0; reason < EXIT_REASONS; reason++)
            if (shows_life(reason))
                exits += stats_exits(&vm->vcpu[i]->stats, reason);
    bool is_new = exits != dog->exits;
    dog->exits = exits;
    return is_new;
}

bool watchdog_sees_progress(struct watchdog *dog, const struct vm *vm)
{
    bool moved = false;
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        uint64_t rip = vm->vcpu[i]->rip;
        if (vm->vcpu[i]->activity == ACTIVITY_ACTIVE)
            moved |= rip - dog->rip[i] + TIGHT_LOOP > 2 * TIGHT_LOOP;
        dog->rip[i] = rip;
    }
    return moved;
}

enum watchdog_news watchdog_note(struct watchdog *dog, bool shows_life, unsigned limit)
{
    bool was_reported = dog->silent >= limit;
    dog->silent = shows_life ? 0 : dog->silent + 1;
    if (was_reported)
        return shows_life ? WATCHDOG_BACK : WATCHDOG_NOTHING;
    return dog->silent >= limit ? WATCHDOG_SILENT : WATCHDOG_NOTHING;
}

static const char *state_of(const struct vcpu *vcpu)
{
    switch ((enum activity)vcpu->activity) {
    case ACTIVITY_ACTIVE:
        return "at";
    case ACTIVITY_HALTED:
        return vcpu->rflags & RFLAGS_IF ? "halted at" : "halted with interrupts off at";
    case ACTIVITY_WAIT_FOR_SIPI:
        return "waits for a SIPI, at";
    case ACTIVITY_STOPPED:
        break;
    }
    return "stopped at";
}

void watchdog_describe(const struct watchdog *dog, const struct vm *vm, char *text, size_t size)
{
    size_t used = format_text(text, size, "no sign of life for %u second%s", dog->silent,
                              dog->silent == 1 ? "" : "s");
    for (unsigned i = 0; i < vm->vcpu_count && used < size; i++)
        used += format_text(text + used, size - used, "%s vCPU %u %s %#lx", i ? "," : ":", i,
                            state_of(vm->vcpu[i]), vm->vcpu[i]->rip);
}
