// A guest reads where its own exits went: the table by reason, and sums that are right.
// vm: exit_stats = cpuid
#include "tests/guests/lib/guest.h"

#define REASON_CYCLES 0x4ffffffc
#define REASON_EXITS  0x4ffffffd
#define ALL_CYCLES    0x4ffffffe
#define ALL_EXITS     0x4fffffff

#define REASONS       78
#define REASON_CPUID  10
#define REASON_VMCALL 18
#define REASON_CR     28
#define REASON_IO     30
#define REASON_VMXON  27
#define REASON_NONE   35 // has no meaning

static uint64_t cycles_of(struct cpuid_leaf leaf)
{
    return (uint64_t)leaf.ebx << 32 | leaf.ecx;
}

static uint32_t exits_of(uint32_t reason)
{
    return read_cpuid(REASON_EXITS, reason).eax;
}

static void print_table(void)
{
    say("reason      exits       cycles\n");
    for (uint32_t reason = 0; reason < REASONS; reason++) {
        uint32_t exits = exits_of(reason);
        if (exits)
            say("%6u %10u %12lu\n", reason, exits, cycles_of(read_cpuid(REASON_CYCLES, reason)));
    }
}

// Each question is an exit itself, so CPUID's own figure is asked for last: one more has happened
// when the total answers. An interrupt of the host may come between; then it is asked again.
static bool exits_add_up(void)
{
    for (unsigned attempt = 0; attempt < 100; attempt++) {
        uint32_t sum = 0;
        for (uint32_t reason = 0; reason < REASONS; reason++)
            if (reason != REASON_CPUID)
                sum += exits_of(reason);
        sum += exits_of(REASON_CPUID);
        if (read_cpuid(ALL_EXITS, 0).eax == sum + 1)
            return true;
    }
    return false;
}

static bool cycles_add_up(void)
{
    uint64_t before = cycles_of(read_cpuid(ALL_CYCLES, 0)), sum = 0;
    for (uint32_t reason = 0; reason < REASONS; reason++)
        sum += cycles_of(read_cpuid(REASON_CYCLES, reason));
    return before <= sum && sum <= cycles_of(read_cpuid(ALL_CYCLES, 0));
}

static uint32_t count_after(uint32_t reason, void (*code)(void))
{
    uint32_t before = exits_of(reason);
    for (unsigned i = 0; i < 7; i++)
        code();
    return exits_of(reason) - before;
}

static void do_io(void)
{
    in8(PORT_SYSTEM_B);
}

static void do_vmcall(void)
{
    uint64_t result = UINT64_C(0x7fff0000); // no such hypercall
    __asm__ volatile("vmcall" : "+a"(result) : : "memory");
}

// CR0 as it is, but for ET, which stays set whatever is written.
static void do_cr0_without_et(void)
{
    __asm__ volatile("mov %%cr0, %%rax; mov %%eax, %%ecx; and $~0x10, %%ecx; mov %%rcx, %%cr0; "
                     "mov %%rax, %%cr0"
                     :
                     :
                     : "rax", "rcx", "memory");
}

void guest_main(uint32_t magic, uint64_t information)
{
    (void)magic, (void)information;
    check(count_after(REASON_IO, do_io) == 7, "7 port accesses are 7 exits");
    check(count_after(REASON_VMCALL, do_vmcall) == 7, "7 VMCALLs are 7 exits");
    check(count_after(REASON_CR, do_cr0_without_et) == 0 && (read_cr0() & CR0_ET),
          "writes of CR0 with ET clear leave it set, and are no exits");
    uint32_t before = exits_of(REASON_CPUID);
    check(exits_of(REASON_CPUID) == before + 1, "a question is one CPUID exit");
    check(exits_add_up(), "the exits by reason are all exits");
    check(cycles_add_up(), "the cycles by reason are all cycles");
    check(cycles_of(read_cpuid(REASON_CYCLES, REASON_CPUID)) > 0, "CPUID took time");

    struct cpuid_leaf none = read_cpuid(REASON_EXITS, REASON_NONE);
    check(!none.eax && !none.ebx && !none.ecx && none.edx == 0xffffffff,
          "reason %u has no meaning: EDX is %#x", REASON_NONE, none.edx);
    struct cpuid_leaf never = read_cpuid(REASON_EXITS, REASON_VMXON);
    check(!never.eax && !never.ebx && !never.ecx && !never.edx, "reason %u did not happen",
          REASON_VMXON);
    print_table();
}
