// Registers as text. See monitor/registers.h.

#include "monitor/registers.h"

static void print_general(struct printer *to, const struct vcpu *vcpu)
{
    static const char names[16][4] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
                                      "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15"};
    static const uint8_t order[16] = {RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP,
                                      R8,  R9,  R10, R11, R12, R13, R14, R15};
    for (unsigned i = 0; i < 16; i++)
        print_to(to, "%s=%016lx%s", names[order[i]], vcpu->gpr[order[i]],
                 i % 3 == 2 || i == 15 ? "\n" : " ");
}

static void print_flags(struct printer *to, const struct vcpu *vcpu)
{
    static const struct {
        uint64_t flag;
        char name;
    } flags[] = {{RFLAGS_IF, 'I'}, {RFLAGS_TF, 'T'}, {RFLAGS_DF, 'D'},
                 {RFLAGS_OF, 'O'}, {RFLAGS_SF, 'S'}, {RFLAGS_ZF, 'Z'},
                 {RFLAGS_AF, 'A'}, {RFLAGS_PF, 'P'}, {RFLAGS_CF, 'C'}};
    print_to(to, "RIP=%016lx RFL=%08lx [", vcpu->rip, vcpu->rflags);
    for (unsigned i = 0; i < ARRAY_LENGTH(flags); i++)
        print_to(to, "%c", vcpu->rflags & flags[i].flag ? flags[i].name : '-');
    print_to(to, "] CPL=%u HLT=%u interruptibility=%lx\n", vcpu->cpl,
             vcpu->activity == ACTIVITY_HALTED, vcpu->interruptibility);
}

static void print_segments(struct printer *to, const struct vcpu *vcpu)
{
    static const char names[SEGMENTS][4] = {"ES ", "CS ", "SS ", "DS ", "FS ", "GS ", "LDT", "TR "};
    for (unsigned i = 0; i < SEGMENTS; i++) {
        const struct segment *segment = &vcpu->segment[i];
        print_to(to, "%s=%04x %016lx %08x %05x\n", names[i], segment->selector, segment->base,
                 segment->limit, segment->access);
    }
    print_to(to, "GDT=%016lx %04x IDT=%016lx %04x\n", vcpu->gdtr.base, vcpu->gdtr.limit,
             vcpu->idtr.base, vcpu->idtr.limit);
}

void registers_print(struct printer *to, const struct vcpu *vcpu)
{
    print_general(to, vcpu);
    print_flags(to, vcpu);
    print_segments(to, vcpu);
    print_to(to, "CR0=%08lx CR2=%016lx CR3=%016lx CR4=%08lx EFER=%lx\n", vcpu->cr0, vcpu->cr2,
             vcpu->cr3, vcpu->cr4, vcpu->efer);
}

void registers_print_more(struct printer *to, const struct vcpu *vcpu)
{
    for (unsigned i = 0; i < 4; i++)
        print_to(to, "DR%u=%016lx%s", i, vcpu->dr[i], i % 2 ? "\n" : " ");
    print_to(to, "DR6=%016lx DR7=%016lx XCR0=%lx\n", vcpu->dr6, vcpu->dr7, vcpu->xcr0);
    print_to(to, "PAT=%016lx KERNEL_GS_BASE=%016lx\n", vcpu->pat, vcpu->live.kernel_gs_base);
    print_to(to, "LSTAR=%016lx TSC_OFFSET=%016lx\n", vcpu->live.lstar, vcpu->tsc_offset);
}

const char *registers_mode(const struct vcpu *vcpu)
{
    if (!(vcpu->cr0 & CR0_PE))
        return "real mode";
    if (vcpu->rflags & RFLAGS_VM)
        return "virtual-8086 mode";
    if (vcpu_in_64bit(vcpu))
        return "64-bit mode";
    if (vcpu->efer & EFER_LMA)
        return "compatibility mode";
    return vcpu->segment[CS].access & AR_DB ? "32-bit protected mode" : "16-bit protected mode";
}
