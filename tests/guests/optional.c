// Instructions that run without a VM exit unless `trap =` asks for one: the guest must not be able
// to tell. What the self-test looks at already is not repeated here.
// again: trap = all
#include "tests/guests/lib/guest.h"

#define CPUID_1_ECX_RDRAND  BIT32(30)
#define CPUID_7_EBX_INVPCID BIT32(10)
#define CPUID_7_EBX_RDSEED  BIT32(18)
#define CPUID_7_ECX_UMIP    BIT32(2)
#define LDT_PRESENT         UINT64_C(0x0000820012340007) // base 1234h, limit 7
#define LDT_ABSENT          UINT64_C(0x0000020012340007)
#define DATA_SEGMENT        UINT64_C(0x0000930012340007)
#define NOT_CANONICAL       UINT64_C(0x8000000000000000)
#define FILL                UINT64_C(0xaaaaaaaaaaaaaaaa)
#define PAGE_SIZE           UINT64_C(4096)

struct table {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

static struct table table;
static uint64_t descriptor[2], type;
static uint8_t *page = (uint8_t *)PAGES;

// ---- descriptor tables ----

CODE(do_sgdt, "sgdt table(%%rip)")
CODE(do_sidt, "sidt table(%%rip)")
CODE(do_lgdt, "lgdt table(%%rip)")
CODE(do_lidt, "lidt table(%%rip)")
CODE(do_sgdt_far, "mov $0x8000000ffc, %%rax; sgdt (%%rax)")
CODE(do_lgdt_far, "mov $0x8000000ffc, %%rax; lgdt (%%rax)")
CODE(do_sgdt_stack,
     "mov %%rsp, %%rsi; mov $0x8000000000000000, %%rsp; sgdt (%%rsp); mov %%rsi, %%rsp")
CODE(do_lldt_absent, "mov $0x40, %%eax; lldt %%ax")
CODE(do_lldt_beyond, "mov $0xfff8, %%eax; lldt %%ax")
CODE(do_lldt_local, "mov $0x44, %%eax; lldt %%ax")
CODE(do_ltr_null, "xor %%eax, %%eax; ltr %%ax")
CODE(do_ltr_busy, "mov $0x30, %%eax; ltr %%ax")
CODE(do_str, "str %%eax")
CODE(do_sldt, "sldt %%eax")

static void check_tables(void)
{
    struct table gdt, idt, short_idt;
    __asm__ volatile("sgdt %0; sidt %1" : "=m"(gdt), "=m"(idt));
    check(gdt.base == (uintptr_t)guest_gdt, "SGDT: our GDT");
    short_idt = (struct table){.limit = 0x7ff, .base = idt.base};
    __asm__ volatile("lidt %1; sidt %0" : "=m"(table) : "m"(short_idt));
    check(table.limit == 0x7ff && table.base == idt.base, "LIDT, SIDT");
    __asm__ volatile("lidt %0; lgdt %1" : : "m"(idt), "m"(gdt));
    check(try_user_call(do_sgdt, 2) == NO_FAULT && table.base == gdt.base, "SGDT at CPL 3");

    table = (struct table){.limit = gdt.limit, .base = NOT_CANONICAL};
    check(try_call(do_lgdt) == VECTOR_GP && try_call(do_lidt) == VECTOR_GP,
          "LGDT, LIDT of a base that is not canonical: #GP");
    map_page(0, (uintptr_t)descriptor | PAGE_ALL);
    map_page(1, 0);
    check(try_call(do_sgdt_far) == VECTOR_PF && last_fault.error == 2 &&
              last_fault.cr2 == PAGES + PAGE_SIZE,
          "SGDT into a page that is not there: #PF with its address");
    check(try_call(do_lgdt_far) == VECTOR_PF && last_fault.error == 0, "LGDT from it: #PF");
    set_gate(VECTOR_SS, 1, true); // on a stack of its own
    check(try_call(do_sgdt_stack) == VECTOR_SS, "SGDT over a stack that is not canonical: #SS");
    set_gate(VECTOR_SS, 0, true);
    if (!(read_cpuid(7, 0).ecx & CPUID_7_ECX_UMIP))
        return;
    write_cr4(read_cr4() | CR4_UMIP);
    check(try_user_call(do_sgdt, 2) == VECTOR_GP && try_user_call(do_sidt, 2) == VECTOR_GP &&
              try_user_call(do_str, 2) == VECTOR_GP && try_user_call(do_sldt, 2) == VECTOR_GP,
          "with CR4.UMIP all of them at CPL 3: #GP");
    write_cr4(read_cr4() & ~CR4_UMIP);
}

static void check_selectors(void)
{
    uint64_t word = FILL, dword = FILL, qword = FILL, memory = FILL;
    __asm__ volatile("str %w0; str %k1; rex.w str %2; str %3"
                     : "+r"(word), "+r"(dword), "+r"(qword), "+m"(memory));
    check(word == (FILL & ~UINT64_C(0xffff)) + SELECTOR_TSS && dword == SELECTOR_TSS &&
              qword == SELECTOR_TSS && memory == word,
          "STR by operand size");
    guest_gdt[SELECTOR_SPARE / 8] = LDT_PRESENT;
    guest_gdt[SELECTOR_SPARE / 8 + 1] = 0;
    uint64_t selector = SELECTOR_SPARE, loaded, after;
    __asm__ volatile("lldt %w2; sldt %k0; xor %k1, %k1; lldt %w1; sldt %k1"
                     : "=&r"(loaded), "=&r"(after)
                     : "r"(selector));
    check(loaded == SELECTOR_SPARE && after == 0, "LLDT, SLDT, and LLDT of a null selector");
    guest_gdt[SELECTOR_SPARE / 8] = LDT_ABSENT;
    check(try_call(do_lldt_absent) == VECTOR_NP && last_fault.error == SELECTOR_SPARE,
          "LLDT of a segment that is not present: #NP");
    guest_gdt[SELECTOR_SPARE / 8] = DATA_SEGMENT;
    static const struct attempt attempts[] = {
        {"LLDT of a data segment: #GP", do_lldt_absent, VECTOR_GP, SELECTOR_SPARE},
        {"LLDT of one beyond the GDT: #GP", do_lldt_beyond, VECTOR_GP, 0xfff8},
        {"LLDT of one in the LDT: #GP", do_lldt_local, VECTOR_GP, SELECTOR_SPARE | 4},
        {"LTR of a null selector: #GP", do_ltr_null, VECTOR_GP, 0},
        {"LTR of a busy TSS: #GP", do_ltr_busy, VECTOR_GP, SELECTOR_TSS},
    };
    check_attempts(attempts, ARRAY_LENGTH(attempts));
    guest_gdt[SELECTOR_TSS / 8] &= ~BIT(41);
    check(try_call(do_ltr_busy) == NO_FAULT && (guest_gdt[SELECTOR_TSS / 8] & BIT(41)),
          "LTR makes an available one busy");
}

// ---- translations ----

static void do_invpcid(void)
{
    __asm__ volatile("invpcid %0, %1" : : "m"(descriptor), "r"(type) : "memory");
}

static bool invpcid_is_refused(uint64_t with_type, uint64_t pcid, uint64_t linear)
{
    type = with_type;
    descriptor[0] = pcid;
    descriptor[1] = linear;
    return try_call(do_invpcid) == VECTOR_GP && last_fault.error == 0;
}

static void check_invpcid(void)
{
    if (!(read_cpuid(7, 0).ebx & CPUID_7_EBX_INVPCID)) {
        check(try_call(do_invpcid) == VECTOR_UD, "INVPCID that CPUID does not name: #UD");
        return;
    }
    static uint8_t bytes[2 * PAGE_SIZE] __attribute__((aligned(4096)));
    bytes[PAGE_SIZE] = 1;
    bool good = true;
    for (uint64_t i = 0; i < 4; i++) {
        map_page(2, (uintptr_t)bytes | PAGE_ALL);
        flush_page(PAGES + 2 * PAGE_SIZE);
        good = good && page[2 * PAGE_SIZE] == 0;
        map_page(2, (uintptr_t)(bytes + PAGE_SIZE) | PAGE_ALL);
        good = good && !invpcid_is_refused(i, 0, PAGES + 2 * PAGE_SIZE) && page[2 * PAGE_SIZE] == 1;
    }
    check(good, "INVPCID of each type makes a new translation count");
    check(invpcid_is_refused(4, 0, 0), "INVPCID of type 4: #GP");
    check(invpcid_is_refused(3, BIT(12), 0), "INVPCID with a reserved bit: #GP");
    check(invpcid_is_refused(1, 1, 0), "INVPCID of a PCID without CR4.PCIDE: #GP");
    check(invpcid_is_refused(0, 0, NOT_CANONICAL), "INVPCID of what is not canonical: #GP");
    check(try_user_call(do_invpcid, 2) == VECTOR_GP, "INVPCID at CPL 3: #GP");
}

// ---- numbers ----

CODE(do_rdtsc, "rdtsc")
CODE(do_rdtscp, "rdtscp")
CODE(do_rdrand, "rdrand %%eax")
CODE(do_rdseed, "rdseed %%eax")

static void check_time(void)
{
    uint64_t before = read_tsc(), now = read_tsc();
    check(now > before && now - before < 1000000, "RDTSC goes on");
    write_cr4(read_cr4() | CR4_TSD);
    check(try_call(do_rdtsc) == NO_FAULT && try_user_call(do_rdtsc, 2) == VECTOR_GP,
          "CR4.TSD: RDTSC at CPL 3: #GP");
    if (read_cpuid(0x80000001, 0).edx & BIT32(27)) {
        uint32_t low, high, aux;
        check(try_user_call(do_rdtscp, 2) == VECTOR_GP, "CR4.TSD: RDTSCP at CPL 3: #GP");
        write_msr(0xc0000103, 0x1234);
        __asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(aux));
        check(aux == 0x1234, "RDTSCP: TSC_AUX");
    }
    write_cr4(read_cr4() & ~CR4_TSD);
}

#define RANDOM(instruction)                                                                        \
    do {                                                                                           \
        uint64_t word = FILL, dword = FILL, first = 0, second = 0, flags;                          \
        __asm__ volatile(instruction " %w0; " instruction " %k1; " instruction " %2; " instruction \
                                     " %3; pushf; pop %4"                                          \
                         : "+r"(word), "+r"(dword), "=r"(first), "=r"(second), "=r"(flags)         \
                         :                                                                         \
                         : "cc", "memory");                                                        \
        check(word >> 16 == FILL >> 16 && dword >> 32 == 0 && first != second &&                   \
                  (flags & 0x8d5) == RFLAGS_CF,                                                    \
              "%s by operand size, with CF alone", instruction);                                   \
    } while (0)

static void check_random(void)
{
    if (read_cpuid(1, 0).ecx & CPUID_1_ECX_RDRAND)
        RANDOM("rdrand");
    else
        check(try_call(do_rdrand) == VECTOR_UD, "RDRAND that CPUID does not name: #UD");
    if (read_cpuid(7, 0).ebx & CPUID_7_EBX_RDSEED)
        RANDOM("rdseed");
    else
        check(try_call(do_rdseed) == VECTOR_UD, "RDSEED that CPUID does not name: #UD");
}

// ---- exceptions ----

static uint64_t seen_flags;

static void step_over_ud2(struct trap_frame *frame)
{
    seen_flags = frame->rflags;
    frame->rip += 2;
}

static void take_software(struct trap_frame *frame)
{
    seen_flags = frame->rflags;
    descriptor[0] = frame->rip;
}

static void check_exceptions(void)
{
    uint64_t behind;
    trap_handlers[VECTOR_UD] = step_over_ud2;
    __asm__ volatile("ud2" : : : "memory");
    check(seen_flags & RFLAGS_RF, "a fault pushes flags with RF");
    trap_handlers[VECTOR_UD] = NULL;
    trap_handlers[VECTOR_BP] = take_software;
    __asm__ volatile("lea 1f(%%rip), %0; int3; 1:" : "=r"(behind) : : "memory");
    check(descriptor[0] == behind && !(seen_flags & RFLAGS_RF), "INT3: RIP behind it, no RF");
    trap_handlers[VECTOR_BP] = NULL;
    trap_handlers[VECTOR_DB] = take_software;
    __asm__ volatile("lea 1f(%%rip), %0; .byte 0xf1; 1:" : "=r"(behind) : : "memory");
    check(descriptor[0] == behind, "INT1: RIP behind it");
    trap_handlers[VECTOR_DB] = NULL;
}

void guest_main(uint32_t magic, uint64_t information)
{
    (void)magic;
    (void)information;
    check_tables();
    check_selectors();
    check_invpcid();
    check_time();
    check_random();
    check_exceptions();
    guest_power_off();
}
