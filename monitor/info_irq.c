// The devices of a VM, and its interrupt controllers: local APICs here, the board's by the machine
// half.

#include "monitor/commands.h"

static void print_vectors(struct monitor *monitor, const char *name, const struct lapic *lapic,
                          unsigned offset)
{
    bool has_begun = false;
    for (unsigned vector = 0; vector < 256; vector++) {
        if (!(lapic_get(lapic, offset + vector / 32 * 16) & BIT32(vector % 32)))
            continue;
        say(monitor, "%s%02x", has_begun ? " " : name, vector);
        has_begun = true;
    }
    if (has_begun)
        say(monitor, "\n");
}

static void print_lvt(struct monitor *monitor, const struct lapic *lapic)
{
    static const struct {
        const char *name;
        enum lapic_offset offset;
    } entries[] = {{"timer", LAPIC_LVT_TIMER},
                   {"LINT0", LAPIC_LVT_LINT0},
                   {"LINT1", LAPIC_LVT_LINT1},
                   {"error", LAPIC_LVT_ERROR},
                   {"perf", LAPIC_LVT_PMC}};
    static const char *const modes[8] = {"fixed", "lowest", "SMI",     "reserved",
                                         "NMI",   "INIT",   "startup", "ExtINT"};
    say(monitor, "  local vector table:");
    for (unsigned i = 0; i < ARRAY_LENGTH(entries); i++) {
        uint32_t entry = lapic_get(lapic, entries[i].offset);
        if (entry & LVT_MASKED)
            say(monitor, " %s masked", entries[i].name);
        else
            say(monitor, " %s %s %02x", entries[i].name, modes[FIELD_GET(LVT_MODE, entry)],
                entry & LVT_VECTOR);
    }
    say(monitor, "\n");
}

static void print_lapic(struct monitor *monitor, const struct vcpu *vcpu)
{
    const struct lapic *lapic = &vcpu->lapic;
    say(monitor, "vCPU %u: APIC ID %u %s, TPR %02x, spurious vector %02x%s\n", vcpu->id,
        vcpu->apic_id,
        !lapic_enabled(vcpu)    ? "disabled"
        : lapic_in_x2apic(vcpu) ? "x2APIC"
                                : "xAPIC",
        lapic_get(lapic, LAPIC_TPR), lapic_get(lapic, LAPIC_SVR) & LVT_VECTOR,
        lapic_get(lapic, LAPIC_SVR) & LAPIC_SVR_ENABLE ? "" : ", off by software");
    print_lvt(monitor, lapic);
    print_vectors(monitor, "  in service: ", lapic, LAPIC_ISR);
    print_vectors(monitor, "  requested: ", lapic, LAPIC_IRR);
    for (unsigned group = 0; group < LAPIC_GROUPS; group++) {
        uint32_t posted = lapic->page->posted.request[group] | lapic->posted_level[group];
        if (posted)
            say(monitor, "  on their way: vectors from %02x: %08x\n", group * 32, posted);
    }
}

void info_irq(struct monitor *monitor, const struct args *args)
{
    struct vm *vm = find_vm(monitor, arg_at(args, 1)).vm;
    if (!vm)
        return;
    monitor->host->hold(vm);
    monitor->host->print_irq(&monitor->printer, vm);
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        print_lapic(monitor, vm->vcpu[i]);
    monitor->host->release(vm);
}

// What the board prints of a VM that is held.
static void print_held(struct monitor *monitor, const struct args *args,
                       void (*print)(struct printer *to, struct vm *vm))
{
    struct vm *vm = find_vm(monitor, arg_at(args, 1)).vm;
    if (!vm)
        return;
    monitor->host->hold(vm);
    print(&monitor->printer, vm);
    monitor->host->release(vm);
}

void info_qtree(struct monitor *monitor, const struct args *args)
{
    print_held(monitor, args, monitor->host->print_devices);
}

void info_pci(struct monitor *monitor, const struct args *args)
{
    print_held(monitor, args, monitor->host->print_pci);
}
