// Where a VM's exits go: a table for people, CSV and JSON lines for tools.

#include "monitor/commands.h"
#include "monitor/summary.h"
#include "vm/watch.h"

#define FEW_ENTRIES 20

static const char *name_of(unsigned reason)
{
    return reason == STATS_OTHER ? "(events, timers)" : exit_table[reason].name;
}

static struct exit_counter counter_of(const struct vcpu *vcpu, unsigned reason)
{
    struct exit_counter counter = {0};
    stats_add(&counter, &vcpu->stats, reason);
    return counter;
}

static void print_csv(struct monitor *monitor, const struct vm *vm)
{
    say(monitor, "vm,vcpu,number,reason,count,cycles,max\n");
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        for (unsigned reason = 0; reason < STATS_REASONS; reason++) {
            struct exit_counter counter = counter_of(vm->vcpu[i], reason);
            if (counter.count)
                say(monitor, "%s,%u,%u,\"%s\",%lu,%lu,%lu\n", vm->config.name, i, reason,
                    name_of(reason), counter.count, counter.cycles, counter.longest);
        }
}

static void print_json(struct monitor *monitor, const struct vm *vm)
{
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        for (unsigned reason = 0; reason < STATS_REASONS; reason++) {
            struct exit_counter counter = counter_of(vm->vcpu[i], reason);
            if (counter.count)
                say(monitor,
                    "{\"vm\":\"%s\",\"vcpu\":%u,\"number\":%u,\"reason\":\"%s\",\"count\":%lu,"
                    "\"cycles\":%lu,\"max\":%lu}\n",
                    vm->config.name, i, reason, name_of(reason), counter.count, counter.cycles,
                    counter.longest);
        }
}

static void print_histograms(struct monitor *monitor, const struct vcpu *vcpu)
{
    say(monitor, "vCPU %u, exits by cycles: 2^n:k are k exits of 2^n to 2^(n+1)-1\n", vcpu->id);
    for (unsigned reason = 0; reason < STATS_REASONS; reason++) {
        bool has_begun = false;
        for (unsigned bucket = 0; bucket < WATCH_BUCKETS; bucket++) {
            uint64_t count = vcpu->watch->histogram[reason][bucket];
            if (!count)
                continue;
            if (!has_begun)
                say(monitor, "%-32s", name_of(reason));
            has_begun = true;
            say(monitor, " 2^%u:%lu", bucket, count);
        }
        if (has_begun)
            say(monitor, "\n");
    }
}

static void print_tally(struct monitor *monitor, const char *title, const struct tally *tally)
{
    unsigned position = 0;
    uint64_t address, count;
    say(monitor, "%s:", title);
    while (tally_next(tally, &position, &address, &count))
        say(monitor, " %#lx:%lu", address, count);
    if (tally->others)
        say(monitor, " others:%lu", tally->others);
    say(monitor, "\n");
}

// What is counted always: accesses that nobody answers.
static void print_unclaimed(struct monitor *monitor, const struct words *words, const struct vm *vm)
{
    if (words_have(words, 'p'))
        print_tally(monitor, "unclaimed ports", &vm->port_tally);
    if (words_have(words, 'm'))
        print_tally(monitor, "unknown MSRs", &vm->msr_tally);
    if (words_have(words, 'g'))
        print_tally(monitor, "unclaimed guest-physical addresses", &vm->mmio_tally);
}

static void print_watched(struct monitor *monitor, const struct words *words,
                          const struct vcpu *vcpu)
{
    if (!vcpu->watch) {
        say(monitor, "vCPU %u is not watched; 'trace on %s' begins it\n", vcpu->id,
            vcpu->vm->config.name);
        return;
    }
    if (words_have(words, 'h'))
        print_histograms(monitor, vcpu);
    if (words_have(words, 'p'))
        print_tally(monitor, "ports", &vcpu->watch->ports);
    if (words_have(words, 'm'))
        print_tally(monitor, "MSRs", &vcpu->watch->msrs);
    if (words_have(words, 'g'))
        print_tally(monitor, "guest-physical pages", &vcpu->watch->pages);
}

void info_exits(struct monitor *monitor, const struct words *words)
{
    static const char closer[] = "hpmg";
    unsigned slot;
    bool is_close = false;
    const struct vm *vm = find_vm(monitor, word_at(words, 1), &slot);
    if (!vm)
        return;
    for (unsigned i = 0; closer[i]; i++)
        is_close = is_close || words_have(words, closer[i]);
    if (words_have(words, 'c'))
        print_csv(monitor, vm);
    else if (words_have(words, 'j'))
        print_json(monitor, vm);
    else if (!is_close)
        summary_exits(&monitor->printer, vm);
    print_unclaimed(monitor, words, vm);
    for (unsigned i = 0; is_close && i < vm->vcpu_count; i++)
        print_watched(monitor, words, vm->vcpu[i]);
}

static void print_trace(struct monitor *monitor, const struct vcpu *vcpu, uint64_t count)
{
    const struct watch *watch = vcpu->watch;
    uint64_t before = 0;
    say(monitor, "vCPU %u: %lu exits were noted\n%14s %8s  %-26s %-16s %s\n", vcpu->id,
        watch->noted, "cycles since", "in root", "reason", "went on at RIP", "detail");
    for (uint64_t back = MIN(count, watch->noted); back > 0; back--) {
        const struct watch_entry *entry = watch_entry_at(watch, back);
        if (!entry)
            continue;
        say(monitor, "%14lu %8u  %-26s %016lx %#lx\n", before ? entry->tsc - before : 0,
            entry->cycles, exit_table[entry->reason].name, entry->rip, entry->detail);
        before = entry->tsc;
    }
}

void info_trace(struct monitor *monitor, const struct words *words)
{
    unsigned slot;
    const struct vm *vm = find_vm(monitor, word_at(words, 1), &slot);
    if (!vm)
        return;
    monitor->host->hold(slot);
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        if (vm->vcpu[i]->watch)
            print_trace(monitor, vm->vcpu[i], words_have(words, 'a') ? WATCH_ENTRIES : FEW_ENTRIES);
        else
            say(monitor, "vCPU %u is not watched; 'trace on %s' begins it\n", i, vm->config.name);
    monitor->host->release(slot);
}
