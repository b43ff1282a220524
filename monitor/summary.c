// The summary of a VM: the reason of its end, exits by reason with counts and average cost, and the
// accesses that nobody answered.

#include "monitor/summary.h"

#include "monitor/registers.h"
#include "vm/emulate/linear.h"
#include "vm/stats.h"

static struct exit_counter total_of(const struct vm *vm, unsigned reason)
{
    struct exit_counter total = {0};
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        stats_add(&total, &vm->vcpu[i]->stats, reason);
    return total;
}

const char *summary_reason(unsigned reason)
{
    return reason == STATS_OTHER ? "(events, timers)" : exit_table[reason].name;
}

void summary_exits(struct printer *to, const struct vm *vm)
{
    struct exit_counter all = {0};
    print_to(to, "%-32s %12s %12s %12s\n", "exit reason", "count", "avg cycles", "max cycles");
    for (unsigned reason = 0; reason < STATS_REASONS; reason++) {
        struct exit_counter total = total_of(vm, reason);
        if (!total.count)
            continue;
        if (reason != STATS_OTHER) // not an exit
            all.count += total.count;
        all.cycles += total.cycles;
        print_to(to, "%-32s %12lu %12lu %12lu\n", summary_reason(reason), total.count,
                 total.cycles / total.count, total.longest);
    }
    print_to(to, "%-32s %12lu %12lu\n", "total", all.count, all.cycles / MAX(all.count, 1));
}

#define CODE_BYTES 16

void summary_state(struct printer *to, const struct vm *vm)
{
    struct vcpu *vcpu = vm->stopped_by;
    uint8_t code[CODE_BYTES];
    if (!vcpu)
        return;
    unsigned count = linear_peek_code(vcpu, code, CODE_BYTES);
    print_to(to, "vCPU %u, %s, at RIP:%s", vcpu->id, registers_mode(vcpu),
             count ? "" : " no memory");
    for (unsigned i = 0; i < count; i++)
        print_to(to, " %02x", code[i]);
    print_to(to, "\n");
    registers_print(to, vcpu);
}

void summary_end(struct printer *to, const struct vm *vm)
{
    print_to(to, "corbel: VM %s ended: %s", vm->traits.name, stop_reason_text(vm->stop_reason));
    if (vm->stop_code)
        print_to(to, " (%#x)", vm->stop_code);
    print_to(to, "\n");
}

void summary_figures(struct printer *to, const struct vm *vm, uint64_t life,
                     const uint64_t *received)
{
    if (vm->traits.exit_stats == EXIT_STATS_PRINT)
        summary_exits(to, vm);
    print_to(to, "unclaimed: %lu port, %lu MMIO accesses; %lu accesses to unknown MSRs\n",
             access_counts_total(&vm->unclaimed_ports), access_counts_total(&vm->unclaimed_mmio),
             access_counts_total(&vm->unknown_msrs));
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        uint64_t ran = received[i] / 1000, lived = MAX(life / 1000, 1), share = ran * 1000 / lived;
        print_to(to, "vCPU %u: ran %lu.%03lu of %lu.%03lu ms: %lu.%lu%% of a CPU\n", i, ran / 1000,
                 ran % 1000, lived / 1000, lived % 1000, share / 10, share % 10);
    }
}
