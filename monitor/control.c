// Commands that do something to a VM.

#include "lib/log.h"
#include "lib/span.h"
#include "lib/string.h"
#include "monitor/commands.h"
#include "monitor/size_query.h"

// Why the VM does not run, and what can be done.
static void say_still(struct monitor *monitor, const struct monitor_vm *found)
{
    if (found->state == MONITOR_PAUSED)
        say(monitor, "%s is stopped; 'cont %s' lets it go on\n", found->name, found->name);
    else if (found->state != MONITOR_PRESERVED)
        say(monitor, "%s is ending: %s\n", found->name, stop_reason_text(found->vm->stop_reason));
    else
        say(monitor, "%s has ended: %s; 'system_reset %s' starts it anew, 'kill %s' ends it\n",
            found->name, stop_reason_text(found->vm->stop_reason), found->name, found->name);
}

void command_stop(struct monitor *monitor, const struct args *args)
{
    struct monitor_vm found = find_vm(monitor, arg_at(args, 1));
    if (!found.vm)
        return;
    if (monitor->host->pause(found.vm) == STATUS_OK)
        found.state = MONITOR_PAUSED;
    say_still(monitor, &found);
}

void command_cont(struct monitor *monitor, const struct args *args)
{
    struct monitor_vm found = find_vm(monitor, arg_at(args, 1));
    if (!found.vm)
        return;
    if (monitor->host->resume(found.vm) == STATUS_OK)
        say(monitor, "%s runs\n", found.name);
    else if (found.state == MONITOR_RUNNING)
        say(monitor, "%s runs already\n", found.name);
    else
        say_still(monitor, &found);
}

void command_system_reset(struct monitor *monitor, const struct args *args)
{
    struct vm *vm = find_vm(monitor, arg_at(args, 1)).vm;
    if (vm)
        monitor->host->reset(vm);
}

void command_system_powerdown(struct monitor *monitor, const struct args *args)
{
    struct monitor_vm found = find_vm(monitor, arg_at(args, 1));
    if (!found.vm)
        return;
    if (found.state != MONITOR_RUNNING)
        say_still(monitor, &found);
    else if (!monitor->host->power_down(found.vm))
        say(monitor, "%s does not listen to its power button; 'kill %s' ends it\n", found.name,
            found.name);
}

// What is to be said of it at once; the answer comes later.
static void ask_agent(struct monitor *monitor, const struct monitor_vm *found,
                      enum agent_order order)
{
    struct explanation why;
    if (found->state != MONITOR_RUNNING) {
        say_still(monitor, found);
        return;
    }
    if (monitor->host->agent(found->vm, order, &why) != STATUS_OK)
        say(monitor, "%s\n", why.text);
}

void command_guest_ping(struct monitor *monitor, const struct args *args)
{
    struct monitor_vm found = find_vm(monitor, arg_at(args, 1));
    if (found.vm)
        ask_agent(monitor, &found, AGENT_PING);
}

void command_guest_fsfreeze(struct monitor *monitor, const struct args *args)
{
    static const struct span_word words[] = {
        {"freeze", AGENT_FREEZE}, {"thaw", AGENT_THAW}, {"status", AGENT_STATUS}, {0}};
    int order;
    if (!span_means((struct span){arg_at(args, 2), strlen(arg_at(args, 2))}, words, &order)) {
        say(monitor, "guest-fsfreeze: freeze, thaw or status?\n");
        return;
    }
    struct monitor_vm found = find_vm(monitor, arg_at(args, 1));
    if (found.vm)
        ask_agent(monitor, &found, (enum agent_order)order);
}

void command_kill(struct monitor *monitor, const struct args *args)
{
    unsigned slot = find_slot(monitor, arg_at(args, 1));
    if (slot == CONFIG_VMS)
        return;
    bool is_starting = monitor_vm(monitor, slot).state == MONITOR_STARTING;
    if (is_starting || find_vm(monitor, arg_at(args, 1)).vm)
        monitor->host->kill(slot);
}

void command_start(struct monitor *monitor, const struct args *args)
{
    struct explanation why;
    unsigned slot = find_slot(monitor, arg_at(args, 1));
    if (slot == CONFIG_VMS)
        return;
    struct monitor_vm found = monitor_vm(monitor, slot);
    if (found.state == MONITOR_STARTING)
        say(monitor, "%s is being started\n", found.name);
    else if (found.vm)
        say(monitor, "%s has not ended; 'system_reset %s' starts it anew\n", found.name,
            found.name);
    else if (monitor->host->start(slot, &why) != STATUS_OK)
        say(monitor, "%s\n", why.text);
    else
        say(monitor, "%s starts\n", found.name);
}

void commands_send_nmi(struct vm *vm)
{
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        vcpu_send_nmi(vm->vcpu[i]);
}

void command_save(struct monitor *monitor, const struct args *args)
{
    struct explanation why;
    struct monitor_vm found = find_vm(monitor, arg_at(args, 1));
    if (found.vm && monitor->host->save(found.vm, &why) != STATUS_OK)
        say(monitor, "%s\n", why.text);
}

void command_nmi(struct monitor *monitor, const struct args *args)
{
    struct vm *vm = find_vm(monitor, arg_at(args, 1)).vm;
    if (!vm)
        return;
    commands_send_nmi(vm);
    say(monitor, "%u vCPU(s) of %s get an NMI\n", vm->vcpu_count, vm->traits.name);
}

void command_quit(struct monitor *monitor, const struct args *args)
{
    monitor->host->quit();
}

void command_console(struct monitor *monitor, const struct args *args)
{
    unsigned slot = find_slot(monitor, arg_at(args, 1));
    if (slot == CONFIG_VMS)
        return;
    monitor->has_left = true;
    monitor->host->focus(slot);
}

void command_cpu(struct monitor *monitor, const struct args *args)
{
    const char *word = arg_at(args, 1);
    uint64_t index;
    struct vm *vm = find_vm(monitor, NULL).vm;
    if (!vm)
        return;
    if (word && (!args_number(&word, &index) || *word || index >= vm->vcpu_count)) {
        say(monitor, vm->vcpu_count > 1 ? "%s has the vCPUs 0 to %u\n" : "%s has vCPU %u only\n",
            vm->traits.name, vm->vcpu_count - 1);
        return;
    }
    if (arg_at(args, 1))
        monitor->vcpu = (unsigned)index;
    say(monitor, "vCPU %u of %s\n", monitor->vcpu, vm->traits.name);
}

void command_resize(struct monitor *monitor, const struct args *args)
{
    struct span rest = {arg_at(args, 1), strlen(arg_at(args, 1))};
    uint64_t columns, rows;
    if (span_number(&rest, &columns) && rest.length && *rest.at == 'x' && columns - 1 < SIZE_MOST) {
        rest = (struct span){rest.at + 1, rest.length - 1};
        if (span_is_number(rest, &rows) && rows - 1 < SIZE_MOST) {
            monitor->host->resize((uint16_t)columns, (uint16_t)rows);
            return;
        }
    }
    say(monitor, "give columns and rows: 'resize 80x24', each from 1 to %u\n", SIZE_MOST);
}

void command_log(struct monitor *monitor, const struct args *args)
{
    char text[LOG_TEXT];
    uint64_t position = 0;
    int level = log_level();
    const char *word = arg_at(args, 1);
    if (word && !span_means((struct span){word, strlen(word)}, log_level_names, &level)) {
        say(monitor, "the levels are error, warning, info and debug\n");
        return;
    }
    while (log_read(log_current(), &position, (enum log_level)level, text))
        say(monitor, "%s", text);
}
