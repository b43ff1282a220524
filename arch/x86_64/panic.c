// Panics: print the state once, on one CPU, and stop all of them.

#include "arch/x86_64/panic.h"

#include "arch/x86_64/apic.h"
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/machine_check.h"
#include "arch/x86_64/registers.h"
#include "arch/x86_64/symbols.h"
#include "arch/x86_64/tsc.h"
#include "lib/panic.h"

#define BANKS_TICKS UINT64_C(1000000000) // of the TSC: half a second at most

static struct printer *output;
static void (*flush_output)(void);
static void (*end_machine)(void);
static _Atomic uint32_t panicking;

extern const uint8_t image_text_start[], image_text_end[], image_end[];

void panic_set_output(struct printer *printer, void (*flush)(void))
{
    output = printer;
    flush_output = flush;
}

void panic_set_end(void (*end)(void))
{
    end_machine = end;
}

bool panic_in_progress(void)
{
    return atomic_load(&panicking) != 0;
}

void panic_halt(void)
{
    for (;;)
        __asm__ volatile("cli; hlt");
}

void print_symbol(struct printer *to, uint64_t address)
{
    const struct symbol *found = NULL;
    for (unsigned low = 0, high = symbol_count; low < high;) {
        unsigned middle = low + (high - low) / 2;
        if (symbol_table[middle].address <= address) {
            found = &symbol_table[middle];
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (found)
        print_to(to, "%s+%#lx", symbol_names + found->name, address - found->address);
    else
        print_to(to, "?");
}

static bool in_text(uint64_t address)
{
    return address >= (uintptr_t)image_text_start && address < (uintptr_t)image_text_end;
}

// Whether the instruction before `address` is a CALL: near relative, or through a register or
// memory.
static bool follows_call(uint64_t address)
{
    const uint8_t *at = (const uint8_t *)address;
    if (!in_text(address - 7))
        return false;
    if (at[-5] == 0xe8)
        return true;
    for (unsigned back = 2; back <= 7; back++)
        if (at[-(int)back] == 0xff && (at[1 - (int)back] & 0x38) == 0x10)
            return true;
    return false;
}

// The end of the stack that `rsp` is on, or 0.
static uint64_t stack_end(uint64_t rsp)
{
    const struct cpu *cpu = this_cpu();
    if (cpu->stack_top - rsp <= STACK_SIZE)
        return cpu->stack_top;
    for (unsigned i = 0; i < IST_STACKS; i++)
        if (cpu->tss.ist[i] - rsp <= IST_STACK_SIZE)
            return cpu->tss.ist[i];
    return 0;
}

// The image has no frame pointers: the return addresses on the stack are those that follow a CALL.
// A stale one may stand among them.
static void print_backtrace(uint64_t rip, uint64_t rsp, bool is_return)
{
    uint64_t end = stack_end(rsp);
    print_to(output, "backtrace:\n");
    for (unsigned depth = 0; depth < 24; depth++) {
        print_to(output, "  %016lx ", rip);
        print_symbol(output, rip - is_return); // a CALL may be the last instruction of its function
        print_to(output, "\n");
        is_return = true;
        for (rsp = align_up(rsp, 8); rsp < end; rsp += 8)
            if (in_text(*(const uint64_t *)rsp) && follows_call(*(const uint64_t *)rsp))
                break;
        if (rsp >= end)
            break;
        rip = *(const uint64_t *)rsp;
        rsp += 8;
    }
}

// The first CPU to come here prints; the others wait for ever.
static void begin(void)
{
    interrupts_off();
    if (atomic_exchange(&panicking, 1) != 0)
        panic_halt();
    apic_stop_others();
    if (!output)
        panic_halt();
}

__attribute__((noreturn)) static void end(void)
{
    print_to(output, "corbel: end: panic\n");
    if (flush_output)
        flush_output();
    if (end_machine)
        end_machine();
    panic_halt();
}

void panic(const char *format, ...)
{
    begin();
    va_list arguments;
    print_to(output, "\ncorbel: panic on CPU %u: ", this_cpu()->index);
    va_start(arguments, format);
    print_to_va(output, format, arguments);
    va_end(arguments);
    print_to(output, "\n");
    print_backtrace((uintptr_t)__builtin_return_address(0),
                    (uintptr_t)__builtin_frame_address(0) + 16, true);
    end();
}

static const char *const trap_names[] = {
    "divide error",
    "debug",
    "NMI of the watchdog: this CPU has got nowhere",
    "breakpoint",
    "overflow",
    "BOUND range exceeded",
    "invalid opcode",
    "device not available",
    "double fault",
    "coprocessor segment overrun",
    "invalid TSS",
    "segment not present",
    "stack fault",
    "general protection",
    "page fault",
    "reserved",
    "x87 floating-point error",
    "alignment check",
    "machine check",
    "SIMD floating-point exception",
    "virtualization exception",
    "control protection",
};

static void print_registers(const struct trap_frame *f)
{
    print_to(output, "RAX %016lx RBX %016lx RCX %016lx RDX %016lx\n", f->rax, f->rbx, f->rcx,
             f->rdx);
    print_to(output, "RSI %016lx RDI %016lx RBP %016lx RSP %016lx\n", f->rsi, f->rdi, f->rbp,
             f->rsp);
    print_to(output, "R8  %016lx R9  %016lx R10 %016lx R11 %016lx\n", f->r8, f->r9, f->r10, f->r11);
    print_to(output, "R12 %016lx R13 %016lx R14 %016lx R15 %016lx\n", f->r12, f->r13, f->r14,
             f->r15);
    print_to(output, "RIP %016lx RFLAGS %08lx CS %04lx SS %04lx error %lx\n", f->rip, f->rflags,
             f->cs, f->ss, f->error);
    print_to(output, "CR0 %016lx CR2 %016lx CR3 %016lx CR4 %016lx\n", read_cr0(), read_cr2(),
             read_cr3(), read_cr4());
}

// The other CPUs come to their banks at the same moment, and the cause may stand there.
static void wait_for_banks(void)
{
    unsigned online = 0;
    for (unsigned i = 0; i < cpu_count; i++)
        online += cpus[i].online;
    for (uint64_t since = rdtsc(); machine_check_ended() < online;) {
        if (rdtsc() - since > BANKS_TICKS)
            break;
        pause();
    }
}

void panic_machine_check(const char *when)
{
    wait_for_banks();
    begin();
    print_to(output, "\ncorbel: panic on CPU %u: machine check %s\n", this_cpu()->index, when);
    machine_check_print(output);
    end();
}

void panic_trap(const struct trap_frame *frame)
{
    if (frame->vector == TRAP_MACHINE_CHECK)
        wait_for_banks();
    begin();
    const struct cpu *cpu = this_cpu();
    const char *name =
        frame->vector < ARRAY_LENGTH(trap_names) ? trap_names[frame->vector] : "trap";
    print_to(output, "\ncorbel: panic on CPU %u: exception %lu (%s) in ", cpu->index, frame->vector,
             name);
    print_symbol(output, frame->rip);
    print_to(output, "\n");
    uint64_t bottom = cpu->stack_top - STACK_SIZE;
    if (cpu->stack_top && (bottom - frame->rsp <= 4096 || bottom - read_cr2() - 1 < 4096))
        print_to(output, "the stack of this CPU overflowed into its guard page\n");
    if (frame->vector == TRAP_MACHINE_CHECK)
        machine_check_print(output);
    print_registers(frame);
    print_backtrace(frame->rip, frame->rsp, false);
    end();
}
