// Where a VM's exits go: a table for people, CSV and JSON lines for tools.

#include "monitor/commands.h"
#include "monitor/summary.h"

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

void info_exits(struct monitor *monitor, const struct words *words)
{
    unsigned slot;
    const struct vm *vm = find_vm(monitor, word_at(words, 1), &slot);
    if (!vm)
        return;
    if (words_have(words, 'c'))
        print_csv(monitor, vm);
    else if (words_have(words, 'j'))
        print_json(monitor, vm);
    else if (!words_have(words, 'p') && !words_have(words, 'm') && !words_have(words, 'g'))
        summary_exits(&monitor->printer, vm);
    if (words_have(words, 'p'))
        print_tally(monitor, "unclaimed ports", &vm->port_tally);
    if (words_have(words, 'm'))
        print_tally(monitor, "unknown MSRs", &vm->msr_tally);
    if (words_have(words, 'g'))
        print_tally(monitor, "unclaimed guest-physical addresses", &vm->mmio_tally);
}
