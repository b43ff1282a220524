// Model-specific registers: what is there holds what it may, everything else is #GP. SDM: volume 4,
// "IA-32 Architectural MSRs".
#include "selftest/groups.h"

#define MSR_TSC             0x10
#define MSR_APIC_BASE       0x1b
#define MSR_FEATURE_CONTROL 0x3a
#define MSR_TSC_ADJUST      0x3b
#define MSR_PAT             0x277
#define MSR_EFER            0xc0000080
#define MSR_LSTAR           0xc0000082
#define MSR_GS_BASE         0xc0000101
#define MSR_KERNEL_GS_BASE  0xc0000102
#define MSR_TSC_AUX         0xc0000103
#define NOT_CANONICAL       UINT64_C(0x8000000000000000)
#define PAT_RESET           UINT64_C(0x0007040600070406)
#define EDX_RDTSCP          BIT32(27)

static uint32_t msr_index;
static uint64_t msr_value;

static void do_read(void)
{
    msr_value = read_msr(msr_index);
}

static void do_write(void)
{
    write_msr(msr_index, msr_value);
}

static bool reads(uint32_t index, uint64_t value)
{
    msr_index = index;
    return try_call(do_read) == NO_FAULT && msr_value == value;
}

static bool refuses_read(uint32_t index)
{
    msr_index = index;
    return try_call(do_read) == VECTOR_GP && last_fault.error == 0;
}

static bool accepts(uint32_t index, uint64_t value)
{
    msr_index = index;
    msr_value = value;
    return try_call(do_write) == NO_FAULT;
}

static bool refuses(uint32_t index, uint64_t value)
{
    msr_index = index;
    msr_value = value;
    return try_call(do_write) == VECTOR_GP && last_fault.error == 0;
}

static void check_unknown(void)
{
    static const uint32_t unknown[] = {0x5eed,     0x1fff,     0x2000,     0x480,      0x48b,
                                       0xc0001fff, 0x40000000, 0x4b564dff, 0xffffffff, 0x800};
    bool good = true;
    for (unsigned i = 0; i < ARRAY_LENGTH(unknown); i++)
        good &= refuses_read(unknown[i]) && refuses(unknown[i], 0);
    check(good, "unknown MSRs, VMX's and x2APIC's in xAPIC mode: #GP");
    check(reads(MSR_FEATURE_CONTROL, 0x100001) && refuses(MSR_FEATURE_CONTROL, 5),
          "IA32_FEATURE_CONTROL is locked without VMX");
    check(refuses_read(0x79) && accepts(0x79, 0), "IA32_BIOS_UPDT_TRIG can only be written");
    check(reads(0x179, 0x9000104) && reads(0x401, 0) && reads(0x40d, 0) && refuses_read(0x410),
          "four empty machine-check banks");
}

// A register that must read back what it takes, and refuses what it may not hold.
static const struct held {
    const char *name;
    uint32_t index;
    uint64_t good, bad;
} held[] = {
    {"IA32_SYSENTER_ESP", 0x175, UINT64_C(0xffff800000001234), NOT_CANONICAL},
    {"IA32_PAT", MSR_PAT, UINT64_C(0x0706050401000007), UINT64_C(2) << 24},
    {"IA32_LSTAR", MSR_LSTAR, UINT64_C(0xffffffff81000000), NOT_CANONICAL},
    {"IA32_FS_BASE", 0xc0000100, UINT64_C(0x00007fffffffffff), UINT64_C(0x0000800000000000)},
    {"IA32_KERNEL_GS_BASE", MSR_KERNEL_GS_BASE, 0x1000, NOT_CANONICAL},
    {"IA32_MTRR_DEF_TYPE", 0x2ff, 0xc00, 0xc02},
    {"IA32_MTRR_PHYSBASE0", 0x200, 0x80000006, 0x80000002},
    {"IA32_MTRR_PHYSMASK0", 0x201, 0xf80000800, 0xf80000801},
    {"IA32_MTRR_FIX64K_00000", 0x250, UINT64_C(0x0606060606060606), 3},
    {"IA32_MCG_STATUS", 0x17a, 0, 16},
    {"IA32_MC3_CTL", 0x40c, UINT64_MAX, 1},
    {"IA32_MC3_STATUS", 0x40d, 0, 1},
    {"IA32_MC3_ADDR", 0x40e, 0, 0x1000},
    {"IA32_MCG_EXT_CTL", 0x4d0, 1, 2},
};

static void check_held(void)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(held); i++) {
        const struct held *row = &held[i];
        uint64_t before = read_msr(row->index);
        bool takes = accepts(row->index, row->good) && reads(row->index, row->good);
        bool refused = refuses(row->index, row->bad) && reads(row->index, row->good);
        check(takes && refused, "%s holds %#llx, refuses %#llx", row->name,
              (unsigned long long)row->good, (unsigned long long)row->bad);
        write_msr(row->index, before);
    }
    check(reads(MSR_PAT, PAT_RESET), "IA32_PAT was as after power-on");
}

static void check_efer(void)
{
    uint64_t efer = read_msr(MSR_EFER);
    check((efer & 0x500) == 0x500, "IA32_EFER: LME and LMA");
    check(accepts(MSR_EFER, efer ^ 1) && reads(MSR_EFER, efer ^ 1), "its SCE can be changed");
    check(refuses(MSR_EFER, efer & ~UINT64_C(0x100)), "its LME cannot while paging is on");
    check(refuses(MSR_EFER, efer | 2) && refuses(MSR_EFER, efer | BIT(63)),
          "its reserved bits: #GP");
    write_msr(MSR_EFER, efer);
}

static void check_apic_base(void)
{
    uint64_t base = read_msr(MSR_APIC_BASE);
    check(base == 0xfee00900, "IA32_APIC_BASE is %#llx", (unsigned long long)base);
    check(refuses(MSR_APIC_BASE, base | BIT(9)) && refuses(MSR_APIC_BASE, base | BIT(60)),
          "its reserved bits: #GP");
    check(refuses(MSR_APIC_BASE, (base & ~BIT(11)) | BIT(10)), "x2APIC without the APIC: #GP");
    check(reads(MSR_APIC_BASE, base), "and it is unchanged");
}

static void check_swapgs(void)
{
    uint64_t first = read_msr(MSR_GS_BASE);
    write_msr(MSR_KERNEL_GS_BASE, 0x1234000);
    __asm__ volatile("swapgs");
    bool good = read_msr(MSR_GS_BASE) == 0x1234000 && read_msr(MSR_KERNEL_GS_BASE) == first;
    __asm__ volatile("swapgs");
    check(good && read_msr(MSR_GS_BASE) == first, "SWAPGS");
}

static void check_tsc(void)
{
    uint64_t first = read_tsc(), by_msr = read_msr(MSR_TSC), last = read_tsc();
    check(first <= by_msr && by_msr <= last, "RDMSR of the TSC lies between two RDTSCs");

    const uint64_t leap = BIT(40), near = BIT(32);
    uint64_t adjust = read_msr(MSR_TSC_ADJUST);
    first = read_tsc();
    write_msr(MSR_TSC_ADJUST, adjust + leap);
    uint64_t moved = read_tsc() - first;
    check(moved >= leap && moved < leap + near && read_msr(MSR_TSC_ADJUST) == adjust + leap,
          "IA32_TSC_ADJUST moves the TSC");
    write_msr(MSR_TSC_ADJUST, adjust);
    check(read_tsc() - first < near, "and back");

    first = read_tsc();
    write_msr(MSR_TSC, first + leap);
    uint64_t adjusted = read_msr(MSR_TSC_ADJUST) - adjust;
    check(adjusted <= leap && adjusted > leap - near, "writing the TSC moves IA32_TSC_ADJUST");
    write_msr(MSR_TSC_ADJUST, adjust);

    if (!(read_cpuid(0x80000001, 0).edx & EDX_RDTSCP)) {
        check(refuses_read(MSR_TSC_AUX), "no RDTSCP, no IA32_TSC_AUX");
        return;
    }
    uint32_t low, high, processor;
    write_msr(MSR_TSC_AUX, 0xabcd);
    first = read_tsc();
    __asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(processor));
    uint64_t now = (uint64_t)high << 32 | low;
    check(processor == 0xabcd && now >= first && now - first < near,
          "RDTSCP gives the TSC and IA32_TSC_AUX");
}

void check_msrs(void)
{
    check_unknown();
    check_held();
    check_efer();
    check_apic_base();
    check_swapgs();
    check_tsc();
}
