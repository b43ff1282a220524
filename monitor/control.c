// Commands that do something to a VM.

#include "lib/string.h"
#include "monitor/commands.h"

void command_stop(struct monitor *monitor, const struct words *words)
{
    struct monitor_vm found = find_vm(monitor, word_at(words, 1));
    if (!found.vm)
        return;
    if (found.state == MONITOR_RUNNING) {
        monitor->host->pause(found.vm);
        say(monitor, "%s is stopped; 'cont' lets it go on\n", found.name);
    } else {
        say(monitor, "%s does not run\n", found.name);
    }
}

void command_cont(struct monitor *monitor, const struct words *words)
{
    struct monitor_vm found = find_vm(monitor, word_at(words, 1));
    if (!found.vm)
        return;
    if (found.state == MONITOR_PAUSED) {
        monitor->host->resume(found.vm);
        say(monitor, "%s runs\n", found.name);
    } else if (found.state == MONITOR_PRESERVED) {
        say(monitor, "%s has ended: %s; 'system_reset' starts it anew, 'kill' ends it\n",
            found.name, stop_reason_text(found.vm->stop_reason));
    } else {
        say(monitor, "%s runs already\n", found.name);
    }
}

void command_system_reset(struct monitor *monitor, const struct words *words)
{
    struct vm *vm = find_vm(monitor, word_at(words, 1)).vm;
    if (vm)
        monitor->host->reset(vm);
}

void command_system_powerdown(struct monitor *monitor, const struct words *words)
{
    struct monitor_vm found = find_vm(monitor, word_at(words, 1));
    if (!found.vm)
        return;
    if (found.state != MONITOR_RUNNING)
        say(monitor, "%s does not run\n", found.name);
    else if (!monitor->host->power_button(found.vm))
        say(monitor, "%s does not listen to its power button; 'kill %s' ends it\n", found.name,
            found.name);
}

void command_kill(struct monitor *monitor, const struct words *words)
{
    unsigned slot = find_slot(monitor, word_at(words, 1));
    if (slot == CONFIG_VMS)
        return;
    bool is_starting = monitor->host->vm(slot).state == MONITOR_STARTING;
    if (is_starting || find_vm(monitor, word_at(words, 1)).vm)
        monitor->host->kill(slot);
}

void command_start(struct monitor *monitor, const struct words *words)
{
    struct explanation why;
    unsigned slot = find_slot(monitor, word_at(words, 1));
    if (slot == CONFIG_VMS)
        return;
    struct monitor_vm found = monitor->host->vm(slot);
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

void command_nmi(struct monitor *monitor, const struct words *words)
{
    struct vm *vm = find_vm(monitor, word_at(words, 1)).vm;
    if (!vm)
        return;
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        vcpu_request(vm->vcpu[i], REQUEST_NMI);
    say(monitor, "%u vCPU(s) of %s get an NMI\n", vm->vcpu_count, vm->config.name);
}

void command_quit(struct monitor *monitor, const struct words *words)
{
    monitor->host->quit();
}

void command_console(struct monitor *monitor, const struct words *words)
{
    unsigned slot = find_slot(monitor, word_at(words, 1));
    if (slot == CONFIG_VMS)
        return;
    monitor->has_left = true;
    monitor->host->focus(slot);
}

void command_cpu(struct monitor *monitor, const struct words *words)
{
    const char *word = word_at(words, 1);
    uint64_t index;
    struct vm *vm = find_vm(monitor, NULL).vm;
    if (!vm)
        return;
    if (word && (!words_number(&word, &index) || *word || index >= vm->vcpu_count)) {
        say(monitor, vm->vcpu_count > 1 ? "%s has the vCPUs 0 to %u\n" : "%s has vCPU %u only\n",
            vm->config.name, vm->vcpu_count - 1);
        return;
    }
    if (word_at(words, 1))
        monitor->vcpu = (unsigned)index;
    say(monitor, "vCPU %u of %s\n", monitor->vcpu, vm->config.name);
}

void command_trace(struct monitor *monitor, const struct words *words)
{
    bool on = strcmp(words->word[1], "on") == 0;
    if (!on && strcmp(words->word[1], "off") != 0) {
        say(monitor, "trace on [vm], or trace off [vm]\n");
        return;
    }
    struct vm *vm = find_vm(monitor, word_at(words, 2)).vm;
    if (!vm)
        return;
    if (monitor->host->watch(vm, on) != STATUS_OK)
        say(monitor, "no memory to watch all vCPUs of %s\n", vm->config.name);
    else if (on)
        say(monitor,
            "each exit of %s has a line from now on, at most 50 a second;\n"
            "'info trace' and 'info exits -p -m -g' have more\n",
            vm->config.name);
}

void command_log(struct monitor *monitor, const struct words *words)
{
    char text[128];
    uint64_t position = 0;
    size_t length;
    while ((length = monitor->host->read_log(&position, text, sizeof(text))) > 0)
        say(monitor, "%.*s", (int)length, text);
}
