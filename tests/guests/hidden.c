// Features that vms.conf hides from a CPU that has them: what needs them is hidden too, and their
// instructions and MSRs do not exist.
// vm: cpuid = -xsave,-invpcid,-rdrand,-rdseed,-waitpkg,-fsgsbase,-tsc,-mtrr,-mca,-pat,-sep
#include "tests/guests/lib/guest.h"

// name, what it is, vector, error code, assembly
#define HIDDEN(ROW)                                                                                \
    ROW(do_xsetbv, "XSETBV", VECTOR_UD, 0,                                                         \
        "xor %%ecx, %%ecx; xor %%edx, %%edx; mov $3, %%eax; xsetbv")                               \
    ROW(do_xgetbv, "XGETBV", VECTOR_UD, 0, "xor %%ecx, %%ecx; xgetbv")                             \
    ROW(do_vxorps, "VXORPS", VECTOR_UD, 0, "vxorps %%xmm0, %%xmm0, %%xmm0")                        \
    ROW(do_invpcid, "INVPCID", VECTOR_UD, 0,                                                       \
        "push $0; push $0; mov $2, %%eax; invpcid (%%rsp), %%rax; pop %%rax; pop %%rax")           \
    ROW(do_rdtscp, "RDTSCP", VECTOR_UD, 0, "rdtscp")                                               \
    ROW(do_rdpid, "RDPID", VECTOR_UD, 0, ".byte 0xf3, 0x0f, 0xc7, 0xf8")                           \
    ROW(do_rdrand, "RDRAND", VECTOR_UD, 0, "rdrand %%eax")                                         \
    ROW(do_rdseed, "RDSEED", VECTOR_UD, 0, "rdseed %%eax")                                         \
    ROW(do_xsaves, "XSAVES", VECTOR_UD, 0, "xsaves (%%rsp)")                                       \
    ROW(do_tpause, "TPAUSE", VECTOR_UD, 0, ".byte 0x66, 0x0f, 0xae, 0xf1")                         \
    ROW(do_rdfsbase, "RDFSBASE", VECTOR_UD, 0, "rdfsbase %%rax")                                   \
    ROW(read_tsc_aux, "RDMSR of TSC_AUX", VECTOR_GP, 0, "mov $0xc0000103, %%ecx; rdmsr")           \
    ROW(read_tsc_deadline, "RDMSR of TSC_DEADLINE", VECTOR_GP, 0, "mov $0x6e0, %%ecx; rdmsr")      \
    ROW(write_tsc_deadline, "WRMSR of TSC_DEADLINE", VECTOR_GP, 0,                                 \
        "mov $0x6e0, %%ecx; xor %%eax, %%eax; xor %%edx, %%edx; wrmsr")                            \
    ROW(read_tsc_adjust, "RDMSR of TSC_ADJUST", VECTOR_GP, 0, "mov $0x3b, %%ecx; rdmsr")           \
    ROW(write_tsc_adjust, "WRMSR of TSC_ADJUST", VECTOR_GP, 0,                                     \
        "mov $0x3b, %%ecx; xor %%eax, %%eax; xor %%edx, %%edx; wrmsr")                             \
    ROW(rdmsr_tsc, "RDMSR of TSC", VECTOR_GP, 0, "mov $0x10, %%ecx; rdmsr")                        \
    ROW(read_mtrr, "RDMSR of MTRR_CAP", VECTOR_GP, 0, "mov $0xfe, %%ecx; rdmsr")                   \
    ROW(read_mcg, "RDMSR of MCG_CAP", VECTOR_GP, 0, "mov $0x179, %%ecx; rdmsr")                    \
    ROW(read_pat, "RDMSR of PAT", VECTOR_GP, 0, "mov $0x277, %%ecx; rdmsr")                        \
    ROW(read_sysenter, "RDMSR of SYSENTER_EIP", VECTOR_GP, 0, "mov $0x176, %%ecx; rdmsr")          \
    ROW(set_osxsave, "CR4.OSXSAVE", VECTOR_GP, 0,                                                  \
        "mov %%cr4, %%rax; or $0x40000, %%eax; mov %%rax, %%cr4")                                  \
    ROW(set_fsgsbase, "CR4.FSGSBASE", VECTOR_GP, 0,                                                \
        "mov %%cr4, %%rax; or $0x10000, %%eax; mov %%rax, %%cr4")
HIDDEN(ATTEMPT_CODE)

void guest_main(uint32_t magic, uint64_t information)
{
    (void)magic, (void)information;
    struct cpuid_leaf one = read_cpuid(1, 0), seven = read_cpuid(7, 0), more = read_cpuid(7, 1);
    struct cpuid_leaf extended = read_cpuid(0x80000001, 0);
    check(!(one.ecx & (BIT32(26) | BIT32(27) | BIT32(28) | BIT32(12) | BIT32(29) | BIT32(30))),
          "no XSAVE, OSXSAVE, AVX, FMA, F16C, RDRAND (%#x)", one.ecx);
    check(!(seven.ebx & (BIT32(5) | BITS(17, 16) | BIT32(21) | BITS(28, 26) | BITS(31, 30))),
          "no AVX2 or AVX-512 (%#x)", seven.ebx);
    check(!(seven.ebx & (BIT32(0) | BIT32(10) | BIT32(18))), "no FSGSBASE, INVPCID, RDSEED (%#x)",
          seven.ebx);
    check(!(seven.ecx & (BIT32(1) | BIT32(3) | BIT32(5) | BIT32(6) | BITS(12, 9) | BIT32(14))),
          "no VBMI, PKU, WAITPKG, VAES or other vectors (%#x)", seven.ecx);
    check(!(seven.ecx & BIT32(22)) && !(extended.edx & BIT32(27)), "no RDTSCP, RDPID (%#x, %#x)",
          seven.ecx, extended.edx);
    check(!(seven.edx & (BITS(3, 2) | BIT32(8) | BIT32(23))) && !(more.eax & (BITS(5, 4))),
          "no vectors in the rest (%#x, %#x)", seven.edx, more.eax);
    check(!(one.edx & (BIT32(4) | BIT32(11) | BIT32(12) | BIT32(14) | BIT32(16))) &&
              !(one.ecx & BIT32(24)) && !(seven.ebx & BIT32(1)),
          "no TSC, SEP, MTRR, MCA, PAT, TSC deadline, TSC_ADJUST (%#x, %#x, %#x)", one.edx, one.ecx,
          seven.ebx);
    struct cpuid_leaf none = {0};
    for (unsigned i = 0; i < 10; i++) {
        struct cpuid_leaf leaf = read_cpuid(0xd, i);
        none.eax |= leaf.eax | leaf.ebx | leaf.ecx | leaf.edx;
    }
    check(!none.eax, "leaf 0DH is empty");
    static const struct attempt attempts[] = {HIDDEN(ATTEMPT_ROW)};
    check_attempts(attempts, ARRAY_LENGTH(attempts));
    check(!(read_cpuid(1, 0).ecx & BIT32(27)), "and OSXSAVE is still not there");
}
