// Answers of commands, and the VMs that their words name.

#include "monitor/find.h"

#include "lib/string.h"
#include "lib/suggest.h"

void say(struct monitor *monitor, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_to_va(&monitor->printer, format, arguments);
    va_end(arguments);
}

static enum right right_over(const struct monitor *monitor, unsigned slot)
{
    return monitor->rights ? (enum right)monitor->rights[slot] : RIGHT_MACHINE;
}

struct monitor_vm monitor_vm(const struct monitor *monitor, unsigned slot)
{
    if (right_over(monitor, slot) == RIGHT_NONE)
        return (struct monitor_vm){.state = MONITOR_NO_VM};
    return monitor->host->vm(slot);
}

static unsigned slot_of_word(struct monitor *monitor, const char *word)
{
    const char *at = word;
    uint64_t number;
    if (!word)
        return monitor->slot;
    struct suggestion search = suggest_for(word, strlen(word));
    for (unsigned slot = 0; slot < CONFIG_VMS; slot++) {
        struct monitor_vm vm = monitor_vm(monitor, slot);
        if (vm.state == MONITOR_NO_VM)
            continue;
        if (strcmp(vm.name, word) == 0)
            return slot;
        suggest_look(&search, vm.name);
    }
    if (args_number(&at, &number) && !*at && number >= 1 && number <= CONFIG_VMS &&
        monitor_vm(monitor, (unsigned)number - 1).state != MONITOR_NO_VM)
        return (unsigned)number - 1;
    const char *near = suggest_result(&search);
    if (near)
        say(monitor, "%s: there is no such VM; did you mean %s?\n", word, near);
    else
        say(monitor, "%s: there is no such VM; 'info vms' lists them\n", word);
    return CONFIG_VMS;
}

unsigned find_slot(struct monitor *monitor, const char *word)
{
    static const char *const rights[] = {[RIGHT_OBSERVE] = "observe the VM",
                                         [RIGHT_OPERATE] = "operate the VM",
                                         [RIGHT_TAKE] = "take the VM out whole"};
    unsigned slot = slot_of_word(monitor, word);
    if (slot == CONFIG_VMS || right_over(monitor, slot) >= monitor->needed)
        return slot;
    say(monitor, "this needs the right to %s\n", rights[monitor->needed]);
    return CONFIG_VMS;
}

struct monitor_vm find_vm(struct monitor *monitor, const char *word)
{
    unsigned slot = find_slot(monitor, word);
    if (slot == CONFIG_VMS)
        return (struct monitor_vm){.vm = NULL};
    struct monitor_vm found = monitor->host->vm(slot);
    found.is_chosen = slot == monitor->slot;
    if (found.state == MONITOR_STARTING)
        say(monitor, "%s is being started\n", found.name);
    else if (!found.vm)
        say(monitor, "%s has ended; 'start %s' starts it again\n", found.name, found.name);
    return found;
}
