// What the monitor shows of VMs, vCPUs, CPUs and memory.

#include "monitor/commands.h"
#include "monitor/registers.h"

#define NS_PER_MS 1000000

static const char *const state_text[] = {
    [MONITOR_ENDED] = "ended",     [MONITOR_STARTING] = "starting",
    [MONITOR_RUNNING] = "running", [MONITOR_PAUSED] = "stopped",
    [MONITOR_ENDING] = "ending",   [MONITOR_PRESERVED] = "preserved",
};

static const char *const activity_text[] = {
    [ACTIVITY_ACTIVE] = "active",
    [ACTIVITY_HALTED] = "halted",
    [ACTIVITY_WAIT_FOR_SIPI] = "waits for SIPI",
    [ACTIVITY_STOPPED] = "stopped",
};

void info_vms(struct monitor *monitor, const struct args *args)
{
    say(monitor, "    %-16s %-10s %5s %8s  %s\n", "name", "state", "vCPUs", "memory", "kernel");
    for (unsigned slot = 0; slot < CONFIG_VMS; slot++) {
        struct monitor_vm found = monitor_vm(monitor, slot);
        if (found.state == MONITOR_NO_VM)
            continue;
        say(monitor, "%c%2u %-16s %-10s", slot == monitor->slot ? '*' : ' ', slot + 1, found.name,
            state_text[found.state]);
        if (found.vm)
            say(monitor, " %5u %7luM  %s", found.vm->vcpu_count, found.vm->traits.memory >> 20,
                found.vm->traits.kernel);
        if (found.state == MONITOR_PRESERVED)
            say(monitor, " (%s)", stop_reason_text(found.vm->stop_reason));
        say(monitor, "\n");
    }
}

static void say_uuid(struct monitor *monitor, const struct uuid *uuid)
{
    char text[UUID_TEXT];
    uuid_format(uuid, text);
    say(monitor, "%s\n", text);
}

void info_uuid(struct monitor *monitor, const struct args *args)
{
    struct monitor_vm found = find_vm(monitor, arg_at(args, 1));
    if (found.vm)
        say_uuid(monitor, &found.vm->traits.uuid);
}

void info_generation(struct monitor *monitor, const struct args *args)
{
    struct monitor_vm found = find_vm(monitor, arg_at(args, 1));
    if (found.vm)
        say_uuid(monitor, &found.vm->generation);
}

void info_cpus(struct monitor *monitor, const struct args *args)
{
    struct monitor_vm found = find_vm(monitor, arg_at(args, 1));
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

void info_registers(struct monitor *monitor, const struct args *args)
{
    struct monitor_vm found = find_vm(monitor, arg_at(args, 1));
    struct vm *vm = found.vm;
    if (!vm)
        return;
    bool all = args_have(args, 'a');
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

static void show_chosen(struct monitor *monitor, const struct args *args,
                        void (*print)(struct printer *, struct vcpu *))
{
    struct monitor_vm found = find_vm(monitor, arg_at(args, 1));
    if (!found.vm)
        return;
    unsigned chosen = found.is_chosen && monitor->vcpu < found.vm->vcpu_count ? monitor->vcpu : 0;
    monitor->host->hold(found.vm);
    print(&monitor->printer, found.vm->vcpu[chosen]);
    monitor->host->release(found.vm);
}

void info_vmcs(struct monitor *monitor, const struct args *args)
{
    show_chosen(monitor, args, monitor->host->print_vmcs);
}

static void print_fields(struct printer *to, struct vcpu *vcpu)
{
    fields_print(vcpu_fields, vcpu, to);
}

void info_vcpu(struct monitor *monitor, const struct args *args)
{
    show_chosen(monitor, args, print_fields);
}

// Runs of RAM; what is in pieces is counted.
static void print_places(struct monitor *monitor, const struct vm *vm)
{
    uint64_t in_pieces = 0;
    const uint8_t *bytes;
    for (uint64_t at = 0, size; (bytes = gmem_next(&vm->memory, &at, UINT64_MAX, &size));
         at += size)
        if (size >= GMEM_PIECE || !vm->memory.away)
            say(monitor, "%-16s %012lx-%012lx RAM, at %012lx of the machine\n", vm->traits.name, at,
                at + size - 1, monitor->host->place(bytes));
        else
            in_pieces += size;
    if (vm->memory.away)
        say(monitor, "%-16s RAM: %lu KiB in small pieces, %lu KiB given back to the machine\n",
            vm->traits.name, in_pieces >> 10, vm->memory.away * PAGE_SIZE >> 10);
}

void info_mem(struct monitor *monitor, const struct args *args)
{
    uint64_t free, total, ours, alone, shared;
    monitor->host->memory(&free, &total, &ours);
    say(monitor, "machine: %lu KiB, %lu KiB of them free, %lu KiB Corbel's\n", total >> 10,
        free >> 10, ours >> 10);
    for (unsigned slot = 0; slot < CONFIG_VMS; slot++) {
        const struct vm *vm = monitor_vm(monitor, slot).vm;
        if (!vm)
            continue;
        monitor->host->held(slot, &alone, &shared);
        say(monitor, "%-16s holds %lu KiB alone, %lu KiB with other VMs\n", vm->traits.name,
            alone >> 10, shared >> 10);
        print_places(monitor, vm);
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
            say(monitor, "  runs vCPU %u of %s", cpu.running->id, cpu.running->vm->traits.name);
        say(monitor, "\n");
    }
}

void info_sched(struct monitor *monitor, const struct args *args)
{
    print_cpus(monitor);
    say(monitor, "%-16s %4s %-10s %4s %6s %4s %6s %14s\n", "VM", "vCPU", "state", "CPU", "pinned",
        "cap", "weight", "received ms");
    for (unsigned slot = 0; slot < CONFIG_VMS; slot++) {
        struct vm *vm = monitor_vm(monitor, slot).vm;
        for (unsigned i = 0; vm && i < vm->vcpu_count; i++) {
            struct monitor_vcpu vcpu = monitor->host->vcpu(vm->vcpu[i]);
            char pinned[8] = "-", cap[8] = "-";
            if (vcpu.pinned >= 0)
                format_text(pinned, sizeof(pinned), "%d", vcpu.pinned);
            if (vcpu.cap)
                format_text(cap, sizeof(cap), "%u%%", vcpu.cap);
            say(monitor, "%-16s %4u %-10s %4u %6s %4s %6u %14lu\n", vm->traits.name, i, vcpu.state,
                vcpu.cpu, pinned, cap, vcpu.weight, vcpu.received / NS_PER_MS);
        }
    }
}

void info_streams(struct monitor *monitor, const struct args *args)
{
    const char *word = arg_at(args, 1);
    unsigned slot = word ? find_slot(monitor, word) : 0;
    for (; slot < CONFIG_VMS; slot = word ? CONFIG_VMS : slot + 1)
        if (monitor_vm(monitor, slot).state != MONITOR_NO_VM)
            monitor->host->print_streams(&monitor->printer, slot);
}

void info_capabilities(struct monitor *monitor, const struct args *args)
{
    monitor->host->print_capabilities(&monitor->printer);
}

void info_version(struct monitor *monitor, const struct args *args)
{
    uint64_t seconds = monitor->host->uptime() / 1000000000;
    say(monitor, "%s, up %lu:%02lu:%02lu\n", monitor->host->version, seconds / 3600,
        seconds / 60 % 60, seconds % 60);
}
