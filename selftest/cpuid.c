// What CPUID says, and that what it says agrees with the machine. SDM: "CPUID-CPU Identification".
#include "selftest/groups.h"

#define HYPERVISOR  0x40000000
#define EXTENDED    0x80000000
#define BEYOND      0x1234 // no such leaf
#define XCR0_X87    BIT(0)
#define XCR0_SSE    BIT(1)
#define XCR0_AVX    BIT(2)
#define XSAVE_BASE  576 // legacy area and header
#define LOCAL_APIC  UINT64_C(0xfee00000)
#define APIC_ID     0x20
#define ECX_MONITOR BIT32(3)
#define ECX_VMX     BIT32(5)
#define ECX_SMX     BIT32(6)
#define ECX_X2APIC  BIT32(21)
#define ECX_TIMER   BIT32(24)
#define ECX_XSAVE   BIT32(26)
#define ECX_OSXSAVE BIT32(27)
#define ECX_GUEST   BIT32(31)
#define EDX_NEEDED  (BIT32(3) | BIT32(4) | BIT32(5) | BIT32(6) | BIT32(9) | BIT32(13))
#define EBX_TSX     (BIT32(4) | BIT32(11))

static bool same(struct cpuid_leaf a, struct cpuid_leaf b)
{
    return a.eax == b.eax && a.ebx == b.ebx && a.ecx == b.ecx && a.edx == b.edx;
}

static bool is_zero(struct cpuid_leaf leaf)
{
    return !(leaf.eax | leaf.ebx | leaf.ecx | leaf.edx);
}

static void check_signatures(void)
{
    struct cpuid_leaf basic = read_cpuid(0, 0), hypervisor = read_cpuid(HYPERVISOR, 0);
    check(basic.ebx == 0x756e6547 && basic.edx == 0x49656e69 && basic.ecx == 0x6c65746e,
          "the vendor is GenuineIntel");
    check(basic.eax >= 0x16 && basic.eax <= 0x1f, "basic leaves up to %#x", basic.eax);
    check(hypervisor.ebx == 0x4b4d564b && hypervisor.ecx == 0x564b4d56 && hypervisor.edx == 0x4d &&
              hypervisor.eax >= HYPERVISOR + 1,
          "the hypervisor's leaves are KVM's");
    check(read_cpuid(EXTENDED, 0).eax == EXTENDED + 8, "extended leaves up to 80000008H");
    check(same(read_cpuid(BEYOND, 0), read_cpuid(basic.eax, 0)) &&
              same(read_cpuid(EXTENDED + 9, 0), read_cpuid(basic.eax, 0)),
          "leaves beyond the last answer as the last basic one");
    check(is_zero(read_cpuid(3, 0)) && is_zero(read_cpuid(7, 0xff)),
          "reserved leaves and sub-leaves are zero");
}

static void check_features(void)
{
    struct cpuid_leaf leaf = read_cpuid(1, 0);
    check(!(leaf.ecx & (ECX_VMX | ECX_SMX | ECX_MONITOR)), "no VMX, SMX, MONITOR");
    check((leaf.ecx & (ECX_X2APIC | ECX_TIMER | ECX_GUEST)) == (ECX_X2APIC | ECX_TIMER | ECX_GUEST),
          "x2APIC, TSC deadline, hypervisor");
    check((leaf.edx & EDX_NEEDED) == EDX_NEEDED, "PSE, TSC, MSR, PAE, APIC, PGE");
    check(!(read_cpuid(7, 0).ebx & EBX_TSX), "no TSX");
    uint32_t widths = read_cpuid(EXTENDED + 8, 0).eax;
    check((widths & 0xff) >= 36 && (widths & 0xff) <= 48 && (widths >> 8 & 0xff) == 48,
          "%u physical, %u linear address bits", widths & 0xff, widths >> 8 & 0xff);
    uint64_t a = ~UINT64_C(0), b = a, c = a << 32, d = a;
    __asm__ volatile("cpuid" : "+a"(a), "+b"(b), "+c"(c), "+d"(d));
    check(!((a | b | c | d) >> 32), "bits 63:32 of the registers become zero");
}

static void check_topology(void)
{
    uint32_t id = read_cpuid(1, 0).ebx >> 24;
    struct cpuid_leaf threads = read_cpuid(0xb, 0), cores = read_cpuid(0xb, 1);
    check(threads.edx == id && cores.edx == id &&
              mmio_read32((void *)LOCAL_APIC, APIC_ID) >> 24 == id,
          "leaves 1 and 0BH and the local APIC agree on APIC ID %u", id);
    check(threads.ecx == 0x100 && cores.ecx == 0x201 && (read_cpuid(0xb, 2).ecx & 0xff00) == 0,
          "two levels of topology");
    check(threads.ebx == 1 && cores.ebx >= 1 && cores.ebx <= 1U << cores.eax,
          "%u cores of one thread", cores.ebx);
}

// EBX of leaf 0DH is the size for what XCR0 holds, ECX the size for all that it may hold.
static void check_xsave(void)
{
    if (!(read_cpuid(1, 0).ecx & ECX_XSAVE)) {
        check(is_zero(read_cpuid(0xd, 0)), "no XSAVE, no leaf 0DH");
        return;
    }
    write_cr4(read_cr4() | CR4_OSXSAVE);
    check(read_cpuid(1, 0).ecx & ECX_OSXSAVE, "OSXSAVE follows CR4");
    struct cpuid_leaf all = read_cpuid(0xd, 0);
    write_xcr(0, XCR0_X87);
    check(read_cpuid(0xd, 0).ebx == XSAVE_BASE, "XSAVE size of x87 alone");
    uint32_t largest = XSAVE_BASE;
    bool good = true;
    for (unsigned i = 2; i < 32; i++) {
        struct cpuid_leaf component = read_cpuid(0xd, i);
        if (!(all.eax >> i & 1))
            good &= is_zero(component);
        else
            good &= component.eax != 0 && component.ebx >= XSAVE_BASE;
        if (component.eax)
            largest = MAX(largest, component.eax + component.ebx);
    }
    check(good, "sub-leaves of leaf 0DH for what XCR0 allows (%#x), no others", all.eax);
    check(all.ecx == largest, "XSAVE size of everything is %u", largest);
    write_xcr(0, all.eax);
    check(read_cpuid(0xd, 0).ebx == largest, "XSAVE size of what is on, with all on");
    if (all.eax & XCR0_AVX) {
        struct cpuid_leaf avx = read_cpuid(0xd, 2);
        write_xcr(0, XCR0_X87 | XCR0_SSE | XCR0_AVX);
        check(read_cpuid(0xd, 0).ebx == avx.eax + avx.ebx, "XSAVE size of AVX");
    }
    write_xcr(0, XCR0_X87 | XCR0_SSE);
    write_cr4(read_cr4() & ~CR4_OSXSAVE);
    check(!(read_cpuid(1, 0).ecx & ECX_OSXSAVE), "OSXSAVE follows CR4 back");
}

void check_cpuid(void)
{
    check_signatures();
    check_features();
    check_topology();
    check_xsave();
}
