// The balloon's commands: how much memory a VM is to have, and what its guest says of it.

#include "lib/string.h"
#include "monitor/commands.h"

// As QEMU has them for `balloon`: MiB, or with a unit behind.
static bool get_size(const char *word, uint64_t *bytes)
{
    uint64_t number;
    if (!word || !args_number(&word, &number))
        return false;
    unsigned shift = 20;
    switch (*word) {
    case 'K':
    case 'k':
        shift = 10;
        break;
    case 'G':
    case 'g':
        shift = 30;
        break;
    }
    word += *word && strchr("KkMmGg", *word);
    *bytes = number << shift;
    return !*word && number && number < BIT(64 - shift);
}

void command_balloon(struct monitor *monitor, const struct args *args)
{
    uint64_t bytes, memory;
    struct monitor_vm found = find_vm(monitor, args->count > 2 ? arg_at(args, 1) : NULL);
    if (!found.vm)
        return;
    memory = found.vm->traits.memory;
    if (!get_size(arg_at(args, args->count - 1), &bytes) || bytes > memory)
        say(monitor, "give the memory that %s is to have, up to its %lu MiB: balloon %s %luM\n",
            found.name, memory >> 20, found.name, memory >> 21);
    else if (!monitor->host->set_balloon(found.vm, bytes))
        say(monitor, "%s has no balloon: balloon = yes in vms.conf gives it one\n", found.name);
}

// As QEMU's monitor says it.
static void print_balloon(struct monitor *monitor, const struct monitor_vm *found)
{
    static const char *const names[MONITOR_BALLOON_STATS] = {
        "mem_swapped_in", "mem_swapped_out", "major_page_faults", "minor_page_faults",
        "free_mem",       "total_mem",       "available_mem",     "disk_caches",
        "htlb_pgalloc",   "htlb_pgfail"};
    struct monitor_balloon balloon;
    if (!monitor->host->balloon(found->vm, &balloon)) {
        say(monitor, "%-16s has no balloon\n", found->name);
        return;
    }
    say(monitor, "%-16s balloon: actual=%lu target=%lu max=%lu away=%lu", found->name,
        balloon.actual >> 20, balloon.target >> 20, found->vm->traits.memory >> 20,
        found->vm->memory.away * PAGE_SIZE >> 20);
    for (unsigned i = 0; i < MONITOR_BALLOON_STATS; i++)
        if (balloon.stats[i] != UINT64_MAX)
            say(monitor, " %s=%lu", names[i], balloon.stats[i]);
    say(monitor, "\n");
}

void info_balloon(struct monitor *monitor, const struct args *args)
{
    struct monitor_vm found;
    const char *word = arg_at(args, 1);
    for (unsigned slot = 0; !word && slot < CONFIG_VMS; slot++) {
        found = monitor_vm(monitor, slot);
        if (found.vm)
            print_balloon(monitor, &found);
    }
    if (word && (found = find_vm(monitor, word)).vm)
        print_balloon(monitor, &found);
}
