// Noting exits. Called by vmx/run.c for vCPUs that are watched, read by the monitor.

#include "vm/watch.h"

#include "vm/linear.h"

#define IO_PORT(qualification) ((qualification) >> 16 & 0xffff)

void watch_begin(struct watch *watch, struct vcpu *vcpu, uint32_t reason, uint64_t tsc)
{
    struct watch_entry *entry = watch_entry_now(watch);
    *entry = (struct watch_entry){
        .tsc = tsc,
        .rip = vcpu->rip,
        .rax = vcpu->gpr[RAX],
        .rcx = vcpu->gpr[RCX],
        .reason = reason,
        .bits = (uint8_t)code_bits(vcpu),
    };
    if (exit_table[reason].needs & FACT_INSTRUCTION)
        entry->verdict = next(); // unless the run loop says otherwise
    entry->length = (uint8_t)linear_peek_code(vcpu, entry->code, WATCH_CODE);
}

void watch_end(struct watch *watch, uint32_t cycles)
{
    struct watch_entry *entry = watch_entry_now(watch);
    entry->cycles = cycles;
    if (entry->reason == EXIT_IO)
        tally_count(&watch->ports, IO_PORT(entry->qualification));
    else if (entry->reason == EXIT_RDMSR || entry->reason == EXIT_WRMSR)
        tally_count(&watch->msrs, (uint32_t)entry->rcx);
    else if (entry->reason == EXIT_EPT_VIOLATION)
        tally_count(&watch->pages, align_down(entry->physical, PAGE_SIZE));
    atomic_fetch_add_explicit(&watch->noted, 1, memory_order_release);
}

bool watch_read(const struct watch *watch, uint64_t number, struct watch_entry *entry)
{
    if (number >= atomic_load_explicit(&watch->noted, memory_order_acquire))
        return false;
    *entry = watch->entry[number % WATCH_ENTRIES];
    // The one that is being made now takes the place of the oldest.
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&watch->noted, memory_order_relaxed) - number < WATCH_ENTRIES;
}
