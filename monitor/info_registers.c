// A vCPU's registers, in the shape that users of QEMU's monitor know.

#include "monitor/commands.h"

static void print_general(struct monitor *monitor, const struct vcpu *vcpu)
{
    static const char names[16][4] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
                                      "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15"};
    static const uint8_t order[16] = {RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP,
                                      R8,  R9,  R10, R11, R12, R13, R14, R15};
    for (unsigned i = 0; i < 16; i++)
        say(monitor, "%s=%016lx%s", names[order[i]], vcpu->gpr[order[i]], i % 4 == 3 ? "\n" : " ");
}

static void print_flags(struct monitor *monitor, const struct vcpu *vcpu)
{
    static const struct {
        uint64_t flag;
        char name;
    } flags[] = {{RFLAGS_IF, 'I'}, {RFLAGS_TF, 'T'}, {RFLAGS_DF, 'D'},
                 {RFLAGS_OF, 'O'}, {RFLAGS_SF, 'S'}, {RFLAGS_ZF, 'Z'},
                 {RFLAGS_AF, 'A'}, {RFLAGS_PF, 'P'}, {RFLAGS_CF, 'C'}};
    say(monitor, "RIP=%016lx RFL=%08lx [", vcpu->rip, vcpu->rflags);
    for (unsigned i = 0; i < ARRAY_LENGTH(flags); i++)
        say(monitor, "%c", vcpu->rflags & flags[i].flag ? flags[i].name : '-');
    say(monitor, "] CPL=%u HLT=%u interruptibility=%lx\n", vcpu->cpl,
        vcpu->activity == ACTIVITY_HALTED, vcpu->interruptibility);
}

static void print_segments(struct monitor *monitor, const struct vcpu *vcpu)
{
    static const char names[SEGMENTS][4] = {"ES ", "CS ", "SS ", "DS ", "FS ", "GS ", "LDT", "TR "};
    for (unsigned i = 0; i < SEGMENTS; i++) {
        const struct segment *segment = &vcpu->segment[i];
        say(monitor, "%s =%04x %016lx %08x %05x%s\n", names[i], segment->selector, segment->base,
            segment->limit, segment->access, segment->access & AR_UNUSABLE ? " unusable" : "");
    }
    say(monitor, "GDT =     %016lx %08x\nIDT =     %016lx %08x\n", vcpu->gdtr.base,
        vcpu->gdtr.limit, vcpu->idtr.base, vcpu->idtr.limit);
}

static void print_system(struct monitor *monitor, const struct vcpu *vcpu)
{
    say(monitor, "CR0=%08lx CR2=%016lx CR3=%016lx CR4=%08lx\n", vcpu->cr0, vcpu->cr2, vcpu->cr3,
        vcpu->cr4);
    for (unsigned i = 0; i < 4; i++)
        say(monitor, "DR%u=%016lx ", i, vcpu->dr[i]);
    say(monitor, "\nDR6=%016lx DR7=%016lx EFER=%016lx XCR0=%016lx\n", vcpu->dr6, vcpu->dr7,
        vcpu->efer, vcpu->xcr0);
    say(monitor, "PAT=%016lx KERNEL_GS_BASE=%016lx LSTAR=%016lx TSC_OFFSET=%016lx\n", vcpu->pat,
        vcpu->live.kernel_gs_base, vcpu->live.lstar, vcpu->tsc_offset);
}

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
        const struct vcpu *vcpu = vm->vcpu[i];
        if (vm->vcpu_count > 1)
            say(monitor, "vCPU %u\n", i);
        print_general(monitor, vcpu);
        print_flags(monitor, vcpu);
        print_segments(monitor, vcpu);
        print_system(monitor, vcpu);
    }
    monitor->host->release(slot);
}
