// Noting exits. Called by vmx/run.c for vCPUs that are watched, read by the monitor.

#include "vm/watch.h"

#include "vm/emulate/linear.h"

#define IO_PORT(qualification) ((qualification) >> 16 & 0xffff)
#define IO_IN(qualification)   ((qualification) >> 3 & 1)

// EDX:EAX for an MSR, RAX for a port: before the exit is served if it writes, afterwards if it
// reads.
static uint64_t value_of(const struct vcpu *vcpu, uint32_t reason)
{
    uint64_t rax = vcpu->gpr[RAX];
    return reason == EXIT_IO ? rax : vcpu->gpr[RDX] << 32 | (uint32_t)rax;
}

void watch_begin(struct watch *watch, struct vcpu *vcpu, uint32_t reason, uint64_t tsc)
{
    struct watch_entry *entry = watch_entry_now(watch);
    *entry = (struct watch_entry){
        .tsc = tsc,
        .rip = vcpu->rip,
        .rax = vcpu->gpr[RAX],
        .rcx = vcpu->gpr[RCX],
        .value = value_of(vcpu, reason),
        .reason = reason,
        .bits = (uint8_t)code_bits(vcpu),
    };
    if (exit_table[reason].needs & FACT_INSTRUCTION)
        entry->verdict = next(); // unless the run loop says otherwise
    entry->length = (uint8_t)linear_peek_code(vcpu, entry->code, WATCH_CODE);
}

static bool is_wanted(const struct watch_filter *filter, const struct watch_entry *entry)
{
    bool is_msr = entry->reason == EXIT_RDMSR || entry->reason == EXIT_WRMSR;
    bool is_wanted = filter->count == 0;
    for (unsigned i = 0; i < filter->count && !is_wanted; i++) {
        uint32_t value = filter->wanted[i].value;
        switch (filter->wanted[i].kind) {
        case WATCH_REASON:
            is_wanted = entry->reason == value;
            break;
        case WATCH_PORT:
            is_wanted = entry->reason == EXIT_IO && IO_PORT(entry->qualification) == value;
            break;
        case WATCH_MSR:
            is_wanted = is_msr && (uint32_t)entry->rcx == value;
            break;
        }
    }
    return is_wanted;
}

void watch_end(struct watch *watch, const struct vcpu *vcpu, uint32_t cycles)
{
    struct watch_entry *entry = watch_entry_now(watch);
    entry->cycles = cycles;
    if (entry->reason == EXIT_RDMSR || (entry->reason == EXIT_IO && IO_IN(entry->qualification)))
        entry->value = value_of(vcpu, entry->reason);
    if (entry->reason == EXIT_IO)
        access_counts_add(&watch->ports, IO_PORT(entry->qualification));
    else if (entry->reason == EXIT_RDMSR || entry->reason == EXIT_WRMSR)
        access_counts_add(&watch->msrs, (uint32_t)entry->rcx);
    else if (entry->reason == EXIT_EPT_VIOLATION)
        access_counts_add(&watch->pages, align_down(entry->physical, PAGE_SIZE));
    if (is_wanted(&watch->filter, entry))
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
