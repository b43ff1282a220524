// Noting exits. Called by vmx/run.c for vCPUs that are watched, read by the monitor.

#include "vm/watch.h"

#include "vm/vcpu.h"

#define IO_PORT_SHIFT 16 // of an I/O instruction's exit qualification

static uint64_t detail_of(const struct vcpu *vcpu, uint32_t reason, const struct exit *exit)
{
    switch (reason) {
    case EXIT_IO:
        return exit->qualification >> IO_PORT_SHIFT & 0xffff;
    case EXIT_RDMSR:
    case EXIT_WRMSR:
        return (uint32_t)vcpu->gpr[RCX];
    case EXIT_EPT_VIOLATION:
        return exit->physical.value;
    case EXIT_CR_ACCESS:
        return exit->qualification;
    default:
        return 0;
    }
}

void watch_note(struct watch *watch, const struct vcpu *vcpu, uint32_t reason,
                const struct exit *exit, uint32_t cycles)
{
    uint64_t detail = detail_of(vcpu, reason, exit);
    watch->histogram[reason][highest_bit(cycles | 1)]++;
    if (reason == EXIT_IO)
        tally_count(&watch->ports, detail);
    else if (reason == EXIT_RDMSR || reason == EXIT_WRMSR)
        tally_count(&watch->msrs, detail);
    else if (reason == EXIT_EPT_VIOLATION)
        tally_count(&watch->pages, align_down(detail, PAGE_SIZE));
    if (reason == STATS_OTHER)
        return;
    watch->entry[watch->noted++ % WATCH_ENTRIES] =
        (struct watch_entry){exit->tsc, vcpu->rip, detail, reason, cycles};
}

const struct watch_entry *watch_entry_at(const struct watch *watch, uint64_t back)
{
    if (back == 0 || back > MIN(watch->noted, WATCH_ENTRIES))
        return NULL;
    return &watch->entry[(watch->noted - back) % WATCH_ENTRIES];
}
