// What the monitor shows of VMs, vCPUs, CPUs and memory.

#include "monitor/commands.h"
#include "monitor/registers.h"

#define NS_PER_MS 1000000

static const char *const state_text[] = {
    [MONITOR_ENDED] = "ended",    [MONITOR_STARTING] = "starting",   [MONITOR_RUNNING] = "running",
    [MONITOR_PAUSED] = "stopped", [MONITOR_PRESERVED] = "preserved",
};

static const char *const activity_text[] = {
    [ACTIVITY_ACTIVE] = "active",
    [ACTIVITY_HALTED] = "halted",
    [ACTIVITY_WAIT_FOR_SIPI] = "waits for SIPI",
    [ACTIVITY_STOPPED] = "stopped",
};

void info_vms(struct monitor *monitor, const struct words *words)
{
    say(monitor, "    %-16s %-10s %5s %8s  %s\n", "name", "state", "vCPUs", "memory", "kernel");
    for (unsigned slot = 0; slot < CONFIG_VMS; slot++) {
        struct monitor_vm found = monitor->host->vm(slot);
        if (found.state == MONITOR_NO_VM)
            continue;
        say(monitor, "%c%2u %-16s %-10s", slot == monitor->slot ? '*' : ' ', slot + 1, found.name,
            state_text[found.state]);
        if (found.vm)
            say(monitor, " %5u %7luM  %s", found.vm->vcpu_count, found.vm->config.memory >> 20,
                found.vm->config.kernel);
        if (found.state == MONITOR_PRESERVED)
            say(monitor, " (%s)", stop_reason_text(found.vm->stop_reason));
        say(monitor, "\n");
    }
}

void info_cpus(struct monitor *monitor, const struct words *words)
{
    struct monitor_vm found = find_vm(monitor, word_at(words, 1));
    if (!found.vm)
        return;
    monitor->host->hold(found.vm);
    for (unsigned i = 0; i < found.vm->vcpu_count; i++) {
        const struct vcpu *vcpu = found.vm->vcpu[i];
        struct monitor_vcpu place = monitor->host->vcpu(found.vm->vcpu[i]);
        say(monitor, "%c vCPU %u: %-14s on CPU %u, RIP %016lx, CPL %u, APIC ID %u\n",
            found.is_chosen && i == monitor->vcpu ? '*' : ' ', i, activity_text[vcpu->activity],
            place.cpu, vcpu->rip, vcpu->cpl, vcpu->apic_id);
    }
    monitor->host->release(found.vm);
}

void info_registers(struct monitor *monitor, const struct words *words)
{
    struct monitor_vm found = find_vm(monitor, word_at(words, 1));
    struct vm *vm = found.vm;
    if (!vm)
        return;
    bool all = words_have(words, 'a');
    unsigned chosen = found.is_chosen && monitor->vcpu < vm->vcpu_count ? monitor->vcpu : 0;
    monitor->host->hold(vm);
    for (unsigned i = all ? 0 : chosen; i < (all ? vm->vcpu_count : chosen + 1); i++) {
        if (vm->vcpu_count > 1)
            say(monitor, "vCPU %u\n", i);
        registers_print(&monitor->printer, vm->vcpu[i]);
        registers_print_more(&monitor->printer, vm->vcpu[i]);
    }
    monitor->host->release(vm);
}

void info_mem(struct monitor *monitor, const struct words *words)
{
    uint64_t free, total;
    monitor->host->memory(&free, &total);
    say(monitor, "machine: %lu KiB, %lu KiB of them free\n", total >> 10, free >> 10);
    for (unsigned slot = 0; slot < CONFIG_VMS; slot++) {
        const struct vm *vm = monitor->host->vm(slot).vm;
        for (unsigned i = 0; vm && i < vm->memory.count; i++) {
            const struct gmem_region *region = &vm->memory.region[i];
            say(monitor, "%-16s %012lx-%012lx RAM, at %012lx of the machine\n", vm->config.name,
                region->start.value, region->start.value + region->size - 1,
                monitor->host->place(region->bytes));
        }
    }
}

static void print_cpus(struct monitor *monitor)
{
    struct monitor_cpu cpu;
    uint64_t uptime = monitor->host->uptime();
    for (unsigned i = 0; monitor->host->cpu(i, &cpu); i++) {
        say(monitor, "CPU %-3u APIC ID %-3u ", i, cpu.apic_id);
        if (!cpu.is_online) {
            say(monitor, "offline\n");
            continue;
        }
        say(monitor, "idle %3lu%% (%lu.%03lu of %lu.%03lu ms)", cpu.idle / MAX(uptime / 100, 1),
            cpu.idle / NS_PER_MS, cpu.idle / 1000 % 1000, uptime / NS_PER_MS, uptime / 1000 % 1000);
        if (cpu.running)
            say(monitor, "  runs vCPU %u of %s", cpu.running->id, cpu.running->vm->config.name);
        say(monitor, "\n");
    }
}

void info_sched(struct monitor *monitor, const struct words *words)
{
    print_cpus(monitor);
    say(monitor, "%-16s %4s %-10s %4s %6s %4s %6s %14s\n", "VM", "vCPU", "state", "CPU", "pinned",
        "cap", "weight", "received ms");
    for (unsigned slot = 0; slot < CONFIG_VMS; slot++) {
        struct vm *vm = monitor->host->vm(slot).vm;
        for (unsigned i = 0; vm && i < vm->vcpu_count; i++) {
            struct monitor_vcpu vcpu = monitor->host->vcpu(vm->vcpu[i]);
            char pinned[8] = "-";
            if (vcpu.pinned >= 0)
                format_text(pinned, sizeof(pinned), "%d", vcpu.pinned);
            say(monitor, "%-16s %4u %-10s %4u %6s %3u%% %6u %14lu\n", vm->config.name, i,
                vcpu.state, vcpu.cpu, pinned, vcpu.cap ? vcpu.cap : 100, vcpu.weight,
                vcpu.received / NS_PER_MS);
        }
    }
}

void info_capabilities(struct monitor *monitor, const struct words *words)
{
    monitor->host->print_capabilities(&monitor->printer);
}

void info_version(struct monitor *monitor, const struct words *words)
{
    uint64_t seconds = monitor->host->uptime() / 1000000000;
    say(monitor, "%s, up %lu:%02lu:%02lu\n", monitor->host->version, seconds / 3600,
        seconds / 60 % 60, seconds % 60);
}
