// `info registers`.

#include "monitor/commands.h"
#include "monitor/registers.h"

void info_registers(struct monitor *monitor, const struct words *words)
{
    unsigned slot;
    struct vm *vm = find_vm(monitor, word_at(words, 1), &slot);
    if (!vm)
        return;
    bool all = words_have(words, 'a');
    unsigned chosen = slot == monitor->slot && monitor->vcpu < vm->vcpu_count ? monitor->vcpu : 0;
    monitor->host->hold(slot);
    for (unsigned i = all ? 0 : chosen; i < (all ? vm->vcpu_count : chosen + 1); i++) {
        if (vm->vcpu_count > 1)
            say(monitor, "vCPU %u\n", i);
        registers_print(&monitor->printer, vm->vcpu[i]);
        registers_print_more(&monitor->printer, vm->vcpu[i]);
    }
    monitor->host->release(slot);
}
