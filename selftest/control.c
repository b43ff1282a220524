// Control registers, XCR0, and paging as they govern it. SDM: "Control Registers", "Access Rights",
// "Page-Fault Exceptions".
#include "selftest/groups.h"

#define PF_WRITE    2
#define PF_RESERVED 8
#define PF_FETCH    16

#define ECX_PCID  BIT32(17)
#define EFER      0xc0000080
#define EFER_NXE  BIT(11)
#define TEST_PAGE PAGES

static uint64_t value;

static void do_cr0(void)
{
    write_cr0(value);
}

static void do_cr3(void)
{
    write_cr3(value);
}

static void do_cr4(void)
{
    write_cr4(value);
}

static bool refuses(void (*write)(void), uint64_t wrong)
{
    value = wrong;
    return try_call(write) == VECTOR_GP && last_fault.error == 0;
}

static void check_cr0(void)
{
    uint64_t cr0 = read_cr0();
    check((cr0 & (CR0_PE | CR0_PG | CR0_ET)) == (CR0_PE | CR0_PG | CR0_ET), "CR0: PE, PG, ET");
    check(refuses(do_cr0, cr0 | BIT(32)), "CR0 bit 32: #GP");
    check(refuses(do_cr0, cr0 & ~CR0_PE), "CR0.PG without PE: #GP");
    check(refuses(do_cr0, (cr0 | CR0_NW) & ~CR0_CD), "CR0.NW without CD: #GP");
    check(refuses(do_cr0, cr0 & ~CR0_PG), "CR0.PG off in 64-bit code: #GP");
    check(read_cr0() == cr0, "and CR0 is unchanged");
    write_cr0(cr0 & ~CR0_ET);
    check(read_cr0() & CR0_ET, "CR0.ET stays set");
    write_cr0(cr0 | CR0_CD | CR0_NW);
    check((read_cr0() & (CR0_CD | CR0_NW)) == (CR0_CD | CR0_NW), "CR0.CD and NW can be set");
    write_cr0(cr0);

    uint64_t low = 0;
    __asm__ volatile("smsw %0" : "=r"(low));
    check((uint32_t)low == (uint32_t)cr0, "SMSW reads CR0");
    __asm__ volatile("lmsw %w0" : : "r"((uint32_t)(cr0 | CR0_TS) & 0xffff & ~1U));
    check((read_cr0() ^ cr0) == CR0_TS, "LMSW sets TS and leaves PE");
}

CODE(do_fnop, "fnop")
CODE(do_fwait, "fwait")

// CR0.TS is set.
static void check_task_switched(void)
{
    check(try_call(do_fnop) == VECTOR_NM, "CR0.TS: x87 gives #NM");
    write_cr0(read_cr0() | CR0_MP);
    check(try_call(do_fwait) == VECTOR_NM, "CR0.TS and MP: WAIT gives #NM");
    __asm__ volatile("clts");
    check(!(read_cr0() & CR0_TS) && try_call(do_fnop) == NO_FAULT, "CLTS ends it");
    write_cr0(read_cr0() & ~CR0_MP);
}

static void check_cr4(void)
{
    uint64_t cr4 = read_cr4();
    check(refuses(do_cr4, cr4 | BIT(40)) && refuses(do_cr4, cr4 | BIT(15)),
          "CR4's reserved bits: #GP");
    check(refuses(do_cr4, cr4 | CR4_VMXE), "CR4.VMXE: #GP");
    check(refuses(do_cr4, cr4 & ~CR4_PAE), "CR4.PAE off in long mode: #GP");
    check(refuses(do_cr4, cr4 | CR4_LA57), "CR4.LA57: #GP");
    check(read_cr4() == cr4, "and CR4 is unchanged");
    uint64_t on = cr4 | CR4_TSD | CR4_DE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    write_cr4(on);
    check(read_cr4() == on, "CR4: TSD, DE, PGE, OSFXSR, OSXMMEXCPT");
    write_cr4(cr4);
}

static void check_cr3(void)
{
    uint64_t cr3 = read_cr3();
    check(refuses(do_cr3, cr3 | BIT(52)) && refuses(do_cr3, cr3 | BIT(63)),
          "CR3's reserved bits: #GP");
    if (!(read_cpuid(1, 0).ecx & ECX_PCID))
        return;
    write_cr3(cr3 | 0x18);
    check(refuses(do_cr4, read_cr4() | CR4_PCIDE), "CR4.PCIDE with low bits in CR3: #GP");
    write_cr3(cr3);
    write_cr4(read_cr4() | CR4_PCIDE);
    value = cr3 | 5 | BIT(63);
    check(try_call(do_cr3) == NO_FAULT && read_cr3() == (cr3 | 5), "CR3 with a PCID and bit 63");
    write_cr3(cr3);
    write_cr4(read_cr4() & ~CR4_PCIDE);
}

CODE(do_cr8, "mov $16, %%eax; mov %%rax, %%cr8")
CODE(do_cr1, "mov %%cr1, %%rax")
CODE(do_cr5, "mov %%rax, %%cr5")

static void check_cr8(void)
{
    bool good = true;
    for (uint64_t priority = 0; priority < 16; priority++) {
        write_cr8(priority);
        good &= read_cr8() == priority && mmio_read32((void *)UINT64_C(0xfee00080), 0) == priority
                                                                                              << 4;
    }
    write_cr8(0);
    check(good, "CR8 is the local APIC's task priority");
    check(try_call(do_cr8) == VECTOR_GP, "CR8 above 15: #GP");
    check(try_call(do_cr1) == VECTOR_UD && try_call(do_cr5) == VECTOR_UD, "CR1 and CR5: #UD");
}

// clang-format off
#define XCR(ATTEMPT) \
    ATTEMPT(do_xcr_off, "XSETBV of 1", NO_FAULT, 0, \
            "xor %%ecx, %%ecx; xor %%edx, %%edx; mov $1, %%eax; xsetbv") \
    ATTEMPT(do_xcr_zero, "XSETBV of 0: #GP", VECTOR_GP, 0, \
            "xor %%ecx, %%ecx; xor %%edx, %%edx; xor %%eax, %%eax; xsetbv") \
    ATTEMPT(do_xcr_avx, "XSETBV of AVX without SSE: #GP", VECTOR_GP, 0, \
            "xor %%ecx, %%ecx; xor %%edx, %%edx; mov $5, %%eax; xsetbv") \
    ATTEMPT(do_xcr_high, "XSETBV of bit 62: #GP", VECTOR_GP, 0, \
            "xor %%ecx, %%ecx; mov $0x40000000, %%edx; mov $3, %%eax; xsetbv") \
    ATTEMPT(do_xcr_one, "XSETBV of XCR1: #GP", VECTOR_GP, 0, \
            "mov $1, %%ecx; xor %%edx, %%edx; mov $1, %%eax; xsetbv") \
    ATTEMPT(do_xgetbv, "XGETBV of XCR7: #GP", VECTOR_GP, 0, "mov $7, %%ecx; xgetbv")
// clang-format on
XCR(ATTEMPT_CODE)
static void check_xcr0(void)
{
    if (!(read_cpuid(1, 0).ecx >> 26 & 1))
        return;
    check(try_call(do_xcr_off) == VECTOR_UD, "XSETBV without CR4.OSXSAVE: #UD");
    write_cr4(read_cr4() | CR4_OSXSAVE);
    static const struct attempt attempts[] = {XCR(ATTEMPT_ROW)};
    check_attempts(attempts, ARRAY_LENGTH(attempts));
    uint64_t all = read_cpuid(0xd, 0).eax;
    write_xcr(0, all);
    check(read_xcr0() == all, "XCR0 takes all that leaf 0DH names (%#x)", (unsigned)all);
    write_xcr(0, 3);
    write_cr4(read_cr4() & ~CR4_OSXSAVE);
}

// ---- paging ----

static _Alignas(4096) uint8_t frame[4096], other_frame[4096];

static void do_touch(void)
{
    (void)*(volatile uint8_t *)TEST_PAGE;
}

static void do_store(void)
{
    *(volatile uint8_t *)TEST_PAGE = 1;
}

static void do_fetch(void)
{
    ((void (*)(void))TEST_PAGE)();
}

static bool faults(void (*code)(void), uint64_t error)
{
    return try_call(code) == VECTOR_PF && last_fault.error == error && last_fault.cr2 == TEST_PAGE;
}

static void check_rights(void)
{
    uint64_t at = (uint64_t)frame, cr0 = read_cr0();
    frame[0] = 0xc3; // RET
    map_page(0, 0);
    check(faults(do_touch, 0) && faults(do_store, PF_WRITE), "#PF of a page that is not there");
    map_page(0, at | PAGE_P);
    write_cr0(cr0 | CR0_WP);
    check(faults(do_store, PF_WRITE | 1), "#PF of a write to a read-only page with CR0.WP");
    write_cr0(cr0 & ~CR0_WP);
    check(try_call(do_store) == NO_FAULT && frame[0] == 1, "no #PF without CR0.WP");
    frame[0] = 0xc3;
    check((page_entry(0) & (PAGE_A | PAGE_D)) == (PAGE_A | PAGE_D), "accessed and dirty are set");
    map_page(0, at | PAGE_ALL | BIT(51));
    check(faults(do_touch, PF_RESERVED | 1), "#PF of a reserved bit");

    uint64_t efer = read_msr(EFER);
    write_msr(EFER, efer & ~EFER_NXE);
    map_page(0, at | PAGE_ALL | PAGE_NX);
    check(faults(do_touch, PF_RESERVED | 1), "without EFER.NXE bit 63 is reserved");
    write_msr(EFER, efer | EFER_NXE);
    check(faults(do_fetch, PF_FETCH | 1), "#PF of a fetch from a no-execute page");
    map_page(0, at | PAGE_ALL);
    check(try_call(do_fetch) == NO_FAULT, "none from another");
    write_msr(EFER, efer);
    write_cr0(cr0);
}

static bool reads(uint8_t expected)
{
    return *(volatile uint8_t *)TEST_PAGE == expected;
}

static void check_translations(void)
{
    frame[0] = 0xaa;
    other_frame[0] = 0xbb;
    map_page(0, (uint64_t)frame | PAGE_ALL);
    bool good = reads(0xaa);
    map_page(0, (uint64_t)other_frame | PAGE_ALL); // with INVLPG
    check(good && reads(0xbb), "INVLPG makes a new translation count");

    uint64_t cr4 = read_cr4(), cr3 = read_cr3();
    write_cr4(cr4 | CR4_PGE);
    map_page(0, (uint64_t)frame | PAGE_ALL | PAGE_G);
    good = reads(0xaa);
    map_page(0, (uint64_t)other_frame | PAGE_ALL | PAGE_G);
    write_cr4(cr4);
    write_cr3(cr3);
    check(good && reads(0xbb), "CR4.PGE off makes a new global translation count");
    map_page(0, 0);
}

void check_control(void)
{
    check_cr0();
    check_task_switched();
    check_cr4();
    check_cr3();
    check_cr8();
    check_xcr0();
    check_rights();
    check_translations();
}
