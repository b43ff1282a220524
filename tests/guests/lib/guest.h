// What a small guest stands on: it starts in guest_main() in long mode at CPL 0, interrupts off,
// the first 4 GiB mapped to themselves, COM1 for its words, and traps that it can catch. Every
// guest ends by switching the machine off.
#pragma once

#include "arch/x86_64/io.h"
#include "lib/print.h"
#include "lib/string.h"
#include "tests/guests/lib/cpu.h"
#include "vm/platform.h"

#define NO_FAULT 256

// Selectors of guest_gdt.
#define SELECTOR_CODE      0x08
#define SELECTOR_DATA      0x10
#define SELECTOR_CODE32    0x18
#define SELECTOR_USER_DATA 0x23
#define SELECTOR_USER_CODE 0x2b
#define SELECTOR_TSS       0x30
#define SELECTOR_SPARE     0x40 // 16 bytes for a test to fill
extern uint64_t guest_gdt[];

// What start.asm has pushed.
struct trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

// The guest itself: `magic` and `information` are Multiboot's EAX and EBX.
void guest_main(uint32_t magic, uint64_t information);

// A line's worth of text on COM1.
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);

// Says `PASS what` or `FAIL what`, the words that tests/guests/run counts.
__attribute__((format(printf, 2, 3))) void check(bool good, const char *what, ...);
extern unsigned checks_passed, checks_failed;

// Switches the machine off (ACPI S5).
__attribute__((noreturn)) void guest_power_off(void);

// Ends with `code` on the debug-exit port.
__attribute__((noreturn)) void guest_debug_exit(uint32_t code);

// Calls code() and returns the vector of the fault that ended it, or NO_FAULT; the rest stands in
// last_fault. RFLAGS are afterwards what they were.
unsigned try_call(void (*code)(void));

// The same at CPL 3, on a stack of its own, with `rflags`.
unsigned try_user_call(void (*code)(void), uint64_t rflags);

struct fault_seen {
    uint64_t error, rip, cr2;
};
extern struct fault_seen last_fault;

// Runs every attempt and checks the vector that ends it.
struct attempt {
    const char *what;
    void (*code)(void);
    unsigned vector; // or NO_FAULT
    uint32_t error;  // of the vectors that push one
};
void check_attempts(const struct attempt *attempts, unsigned count);
void check_user_attempts(const struct attempt *attempts, unsigned count);

// A function of one piece of assembly, for attempts. It may change any general register but RBP and
// RSP.
#define CODE(name, ...)                                                                            \
    static void name(void)                                                                         \
    {                                                                                              \
        __asm__ volatile(__VA_ARGS__                                                               \
                         :                                                                         \
                         :                                                                         \
                         : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "cc", "memory");        \
    }

// A list LIST of attempts, ATTEMPT(name, what, vector, error, assembly) each, makes their functions
// by LIST(ATTEMPT_CODE) and the rows of a table by LIST(ATTEMPT_ROW).
#define ATTEMPT_CODE(name, what, vector, error, ...) CODE(name, __VA_ARGS__)
#define ATTEMPT_ROW(name, what, vector, error, ...)  {what, name, vector, error},

// The IDT's gate of a vector: a stack of the TSS (0: none) and whether it is present.
void set_gate(unsigned vector, unsigned stack, bool present);
// Where stack `number` (2 to 7) of the TSS begins; 1 is double faults' own.
void set_stack(unsigned number, uint64_t top);

// Small pages for tests: page `index` (0 to 511) at PAGES + index * 4096 gets this entry.
#define PAGES UINT64_C(0x8000000000)
void map_page(unsigned index, uint64_t entry);
uint64_t page_entry(unsigned index);
#define PAGE_P   BIT(0)
#define PAGE_W   BIT(1)
#define PAGE_U   BIT(2)
#define PAGE_A   BIT(5)
#define PAGE_D   BIT(6)
#define PAGE_G   BIT(8)
#define PAGE_NX  BIT(63)
#define PAGE_ALL (PAGE_P | PAGE_W)

// Handlers by vector: called instead of the rule that an unexpected trap is a FAIL and the end.
// Returning resumes.
typedef void trap_handler(struct trap_frame *);
extern trap_handler *trap_handlers[256];

static inline uint64_t read_msr(uint32_t index)
{
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index) : "memory");
    return (uint64_t)high << 32 | low;
}

static inline void write_msr(uint32_t index, uint64_t value)
{
    __asm__ volatile("wrmsr"
                     :
                     : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                     : "memory");
}

struct cpuid_leaf {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid_leaf read_cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_leaf found;
    __asm__ volatile("cpuid"
                     : "=a"(found.eax), "=b"(found.ebx), "=c"(found.ecx), "=d"(found.edx)
                     : "a"(leaf), "c"(subleaf));
    return found;
}

static inline uint64_t read_tsc(void)
{
    uint32_t low, high;
    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}
