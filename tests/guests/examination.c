// An examination question: which exits can each instruction of a function cause, and which does it
// cause, under each control setting and with each page of the nested page tables taken out? The
// function runs up to its first, second, ... last instruction, each time in the same state, and the
// hypervisor's own figures (CPUID leaf 4FFFFFFDH) tell what came on top. One VM for each setting;
// docs/examination.md has the question and the tables.
#include "tests/guests/lib/interrupts.h"

#define REASON_EXITS 0x4ffffffd
#define MSR_GS_BASE  0xc0000102 // IA32_KERNEL_GS_BASE: no exit unless asked for
#define ENTRY_POINT  0x149c
#define STACK        0x4ff8
#define SELECTOR_LDT SELECTOR_SPARE
#define TIMER        0x60
#define TURN         100000000 // ticks of the local APIC's timer that a VM's lines may take

struct information {
    uint32_t flags, memory_lower, memory_upper, boot_device, cmdline;
};

struct __attribute__((packed)) table_pointer {
    uint16_t limit;
    uint64_t base;
};

// What a guest-physical page is to an instruction.
#define PAGE_TABLE_PAGE 0x7000  // the entries of all linear addresses below
#define GDT_PAGE        0x6000  // linear 6000H
#define STACK_PAGE_1    0x13000 // linear 4000H
#define STACK_PAGE_2    0x9000  // linear 5000H
#define CODE_PAGE       0x12000 // linear 1000H
#define DATA_PAGE       0x14000 // linear 14000H, and 2000H
static const uint32_t pages[] = {0,         GDT_PAGE,     PAGE_TABLE_PAGE, STACK_PAGE_2,
                                 CODE_PAGE, STACK_PAGE_1, DATA_PAGE};

enum { EXIT_INVLPG = 14, EXIT_RDMSR = 31, EXIT_TABLES = 46, EXIT_SYSTEM = 47, EXIT_EPT = 48 };
static const struct {
    unsigned reason;
    const char *setting; // word of `trap =` that turns it on
    const char *name;
} exits[] = {{EXIT_RDMSR, "msr", "RDMSR"},
             {EXIT_TABLES, "descriptor_tables", "GDTR/IDTR"},
             {EXIT_SYSTEM, "descriptor_tables", "LDTR/TR"},
             {EXIT_INVLPG, "invlpg", "INVLPG"},
             {EXIT_EPT, NULL, "EPT violation"}};
#define EXITS ARRAY_LENGTH(exits)
#define EPT   (EXITS - 1)

static const struct instruction {
    const char *text;
    uint8_t length, bytes[8];
    unsigned reason;   // of its own exit, or 0
    uint32_t operands; // page of its memory operand, or 0
    uint32_t implied;  // page that it reads beside, or 0
} instructions[] = {
    {"rdmsr", 2, {0x0f, 0x32}, EXIT_RDMSR, 0, 0},
    {"mov %eax,0x14154", 7, {0x89, 0x04, 0x25, 0x54, 0x41, 0x01}, 0, DATA_PAGE, 0},
    {"pop %rdx", 1, {0x5a}, 0, STACK_PAGE_1, 0},
    {"pop %rcx", 1, {0x59}, 0, STACK_PAGE_2, 0},
    {"sgdt 0x14138", 8, {0x0f, 0x01, 0x04, 0x25, 0x38, 0x41, 0x01}, EXIT_TABLES, DATA_PAGE, 0},
    {"lidt 0x14128", 8, {0x0f, 0x01, 0x1c, 0x25, 0x28, 0x41, 0x01}, EXIT_TABLES, DATA_PAGE, 0},
    {"lldt 0x14148",
     8,
     {0x0f, 0x00, 0x14, 0x25, 0x48, 0x41, 0x01},
     EXIT_SYSTEM,
     DATA_PAGE,
     GDT_PAGE},
    {"str 0x14152", 8, {0x0f, 0x00, 0x0c, 0x25, 0x52, 0x41, 0x01}, EXIT_SYSTEM, DATA_PAGE, 0},
    {"invlpg 0x21000", 8, {0x0f, 0x01, 0x3c, 0x25, 0x00, 0x10, 0x02}, EXIT_INVLPG, 0, 0},
    {"ret", 1, {0xc3}, 0, STACK_PAGE_2, 0},
};
#define INSTRUCTIONS ARRAY_LENGTH(instructions)

static char setting[128];

static bool is_on(const char *word)
{
    size_t length = strlen(word);
    for (const char *at = setting; *at; at++)
        if (memcmp(at, "all", 3) == 0 || memcmp(at, word, length) == 0)
            return true;
    return false;
}

// ---- the machine of the question ----

extern uint64_t guest_pml4[];
static _Alignas(4096) uint64_t pml4[512], pointers[512], directory[512];
static uint64_t saved_cr3;
static struct table_pointer saved_gdt, saved_idt;
extern const uint8_t exam_landing[]; // where the function goes on afterwards
static const uint8_t *const landing = exam_landing;

static uint8_t *at(uint64_t address)
{
    return (uint8_t *)address;
}

// The entries as the question has them. In the first 2 MiB nothing else is mapped; what this
// program needs lies above, in large pages whose tables are its own.
static void make_tables(void)
{
    uint64_t *entry = (uint64_t *)at(PAGE_TABLE_PAGE);
    memset(entry, 0, 4096);
    entry[0x1] = 0x12000 | PAGE_ALL | PAGE_A;
    entry[0x2] = 0x14000 | PAGE_ALL | PAGE_A;
    entry[0x4] = 0x13000 | PAGE_ALL | PAGE_A | PAGE_D;
    entry[0x5] = 0x9000 | PAGE_ALL | PAGE_A | PAGE_D;
    entry[0x6] = 0x6000 | PAGE_ALL | PAGE_A | PAGE_D;
    entry[0x7] = 0x7000 | PAGE_ALL | PAGE_A;
    entry[0x14] = 0x14000 | PAGE_ALL;
    const uint64_t *lib = (const uint64_t *)(guest_pml4[0] & ~UINT64_C(0xfff));
    memcpy(directory, (const void *)(lib[0] & ~UINT64_C(0xfff)), sizeof(directory));
    directory[0] = PAGE_TABLE_PAGE | PAGE_ALL | PAGE_A;
    pointers[0] = (uint64_t)directory | PAGE_ALL | PAGE_A;
    pml4[0] = (uint64_t)pointers | PAGE_ALL | PAGE_A;
}

// Memory before the function runs: its first `count` instructions, and behind them a jump away that
// touches no other page.
static void make_memory(unsigned count)
{
    uint8_t *code = at(CODE_PAGE + ENTRY_POINT % 4096);
    for (unsigned i = 0; i < count; i++) {
        memcpy(code, instructions[i].bytes, instructions[i].length);
        code += instructions[i].length;
    }
    static const uint8_t jump[] = {0xff, 0x24, 0x25}; // jmp *landing
    uint32_t address = (uint32_t)(uint64_t)&landing;
    memcpy(code, jump, sizeof(jump));
    memcpy(code + sizeof(jump), &address, sizeof(address));

    memcpy(at(GDT_PAGE), guest_gdt, saved_gdt.limit + 1u);
    memset(at(DATA_PAGE), 0, 4096);
    memcpy(at(DATA_PAGE + 0x128), &saved_idt, sizeof(saved_idt));
    *(uint16_t *)at(DATA_PAGE + 0x148) = SELECTOR_LDT;
    *(uint64_t *)at(STACK_PAGE_1 + 0xff8) = 0x1111;
    *(uint64_t *)at(STACK_PAGE_2) = 0x2222;
    *(uint64_t *)at(STACK_PAGE_2 + 8) = (uint64_t)landing;
}

struct result {
    uint64_t rax, rdx, rcx;
};

__attribute__((noinline, noclone)) static struct result run_function(void)
{
    struct result result;
    struct table_pointer gdt = {saved_gdt.limit, GDT_PAGE};
    __asm__ volatile(
        "lgdt %[gdt]; mov %[cr3], %%cr3; mov %%rsp, %%r12; mov %[stack], %%esp; "
        "jmp *%[entry]; .globl exam_landing; exam_landing: mov %%r12, %%rsp"
        : "=a"(result.rax), "=d"(result.rdx), "=c"(result.rcx)
        : [gdt] "m"(gdt), [cr3] "r"(pml4), [stack] "i"(STACK), [entry] "r"(UINT64_C(ENTRY_POINT)),
          "c"(MSR_GS_BASE), "d"(0), "a"(0)
        : "r12", "cc", "memory");
    return result;
}

// ---- measuring ----

struct counts {
    uint32_t of[EXITS];
};

static struct counts count(void)
{
    struct counts counts;
    for (unsigned i = 0; i < EXITS; i++)
        counts.of[i] = read_cpuid(REASON_EXITS, exits[i].reason).eax;
    return counts;
}

// What the first `length` instructions cause with this page (0: none) taken out.
static struct counts measure(unsigned length, uint32_t page, struct result *result)
{
    write_cr3(saved_cr3);
    make_tables();
    make_memory(length);
    if (page)
        out32(PORT_PAGE_FLUSH, page);
    struct counts before = count();
    *result = run_function();
    struct counts after = count();
    for (unsigned i = 0; i < EXITS; i++)
        after.of[i] -= before.of[i];
    write_cr3(saved_cr3);
    __asm__ volatile("lgdt %0" : : "m"(saved_gdt));
    return after;
}

// ---- judging ----

static bool exits_itself(const struct instruction *instruction)
{
    for (unsigned i = 0; i < EXITS; i++)
        if (instruction->reason == exits[i].reason)
            return is_on(exits[i].setting);
    return false;
}

// An instruction that exits itself is fetched, and does no more: the hypervisor carries it out, and
// reads and writes its operands without the nested page tables.
static bool can_violate(const struct instruction *instruction, uint32_t page)
{
    if (page == CODE_PAGE || page == PAGE_TABLE_PAGE)
        return true;
    return page && (page == instruction->operands || page == instruction->implied) &&
           !exits_itself(instruction);
}

// One cell of the table: what occurred; in brackets what was possible and did not occur.
static bool judge(const struct instruction *instruction, uint32_t page,
                  const uint32_t occurred[EXITS], bool *is_out)
{
    bool right = true, said = false;
    for (unsigned i = 0; i < EXITS; i++) {
        bool possible = i == EPT
                            ? can_violate(instruction, page)
                            : instruction->reason == exits[i].reason && is_on(exits[i].setting);
        bool expected = possible && (i != EPT || *is_out);
        right &= occurred[i] == (expected ? 1 : 0);
        if (possible || occurred[i]) {
            say("%s%s%s%s", said ? ", " : " ", occurred[i] ? "" : "(", exits[i].name,
                occurred[i] ? "" : ")");
            if (occurred[i] > 1)
                say(" x %u", occurred[i]);
            said = true;
        }
    }
    if (occurred[EPT])
        *is_out = false;
    say(said ? " |" : " - |");
    return right;
}

static struct counts table[ARRAY_LENGTH(pages)][INSTRUCTIONS + 1];

static void measure_all(void)
{
    struct result result;
    for (unsigned p = 0; p < ARRAY_LENGTH(pages); p++)
        for (unsigned length = 0; length <= INSTRUCTIONS; length++)
            table[p][length] = measure(length, pages[p], &result);
    struct table_pointer *stored = (struct table_pointer *)at(DATA_PAGE + 0x138);
    check(result.rdx == 0x1111 && result.rcx == 0x2222, "POP gives what is on the stack");
    check(stored->base == GDT_PAGE && stored->limit == saved_gdt.limit, "SGDT stores the GDTR");
    check(*(uint16_t *)at(DATA_PAGE + 0x152) == SELECTOR_TSS, "STR stores the task register");
    check(*(uint32_t *)at(DATA_PAGE + 0x154) == 0x55667788, "RDMSR gives the MSR, MOV stores it");
    // Whoever wrote, the CPU or Corbel: the flags are as the manual has them.
    const uint64_t *entry = (const uint64_t *)at(PAGE_TABLE_PAGE);
    uint64_t flags = PAGE_A | PAGE_D;
    check((entry[0x14] & flags) == flags && (entry[0x1] & flags) == PAGE_A &&
              (entry[0x7] & flags) == PAGE_A && (entry[0x4] & flags) == flags,
          "the write to 0x14000 sets accessed and dirty, fetch and read leave dirty clear");
    uint16_t ldt;
    __asm__ volatile("sldt %0" : "=m"(ldt));
    check(ldt == SELECTOR_LDT, "LLDT loads the LDTR");
}

// The exits of an instruction are those of the function up to it, less those up to the one before.
// A violation on the way to the function, of which this program's own exits are no part, is the
// first one's.
static uint32_t occurred_in(unsigned row, unsigned p, unsigned i)
{
    uint32_t before = row == 0 && i == EPT ? 0 : table[p][row].of[i];
    return table[p][row + 1].of[i] - before;
}

static bool print_row(unsigned row, bool is_out[ARRAY_LENGTH(pages)])
{
    bool right = true;
    say("| `%s` |", instructions[row].text);
    for (unsigned p = 0; p < ARRAY_LENGTH(pages); p++) {
        uint32_t occurred[EXITS];
        for (unsigned i = 0; i < EXITS; i++)
            occurred[i] = occurred_in(row, p, i);
        right &= judge(&instructions[row], pages[p], occurred, &is_out[p]);
    }
    say("\n");
    return right;
}

// The VMs speak one after another, so that their lines stay whole.
static void wait_for_turn(unsigned turn)
{
    if (!turn)
        return;
    count_vector(TIMER);
    apic_write(APIC_SVR, 0x1ff);
    apic_write(APIC_DIVIDE, TIMER_DIVIDE_BY_1);
    apic_write(APIC_LVT_TIMER, TIMER);
    apic_write(APIC_INITIAL_COUNT, turn * TURN);
    while (!taken[TIMER])
        __asm__ volatile("sti; hlt; cli" : : : "memory");
}

void guest_main(uint32_t magic, uint64_t address)
{
    (void)magic;
    pic_mask(UINT16_MAX); // a BIOS leaves the PIT's interrupt on, at vector 8
    const struct information *information = (const struct information *)address;
    const char *cmdline = (const char *)(uint64_t)information->cmdline; // "examination.elf 0 none"
    cmdline = strchr(cmdline, ' ') + 1;
    memcpy(setting, cmdline + 2, MIN(strlen(cmdline + 2), sizeof(setting) - 1));
    wait_for_turn((unsigned)(cmdline[0] - '0'));
    saved_cr3 = read_cr3();
    __asm__ volatile("sgdt %0; sidt %1" : "=m"(saved_gdt), "=m"(saved_idt));
    write_msr(MSR_GS_BASE, 0x112255667788);
    guest_gdt[SELECTOR_LDT / 8] = 0x0000820000000fff;
    guest_gdt[SELECTOR_LDT / 8 + 1] = 0;
    measure_all();
    say("trap = %s\n", setting);
    bool is_out[ARRAY_LENGTH(pages)];
    memset(is_out, true, sizeof(is_out));
    for (unsigned row = 0; row < INSTRUCTIONS; row++)
        check(print_row(row, is_out), "%s: the exits that must come, and no others",
              instructions[row].text);
    if (checks_failed)
        guest_debug_exit(checks_failed);
}
