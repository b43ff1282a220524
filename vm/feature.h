// CPU features: where CPUID reports each, and their names as /proc/cpuinfo and QEMU spell them.
// vms.conf's `cpuid` key speaks in these names. SDM: "CPUID-CPU Identification", the tables of
// feature information.
#pragma once

#include "lib/bits.h"

enum cpuid_register { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

// Where a feature is announced: leaf (below 20H of its range: basic, hypervisor, extended),
// sub-leaf, register, bit.
#define CPUID_BIT(leaf, subleaf, in, bit)                                                          \
    ((uint32_t)((((leaf) >> 30) << 20) | (((leaf)&0x1f) << 12) | ((subleaf) << 8) | ((in) << 5) |  \
                (bit)))
#define CPUID_BIT_LEAF(feature)    ((feature) >> 20 << 30 | ((feature) >> 12 & 0x1f))
#define CPUID_BIT_SUBLEAF(feature) ((feature) >> 8 & 0xf)
#define CPUID_BIT_IN(feature)      ((feature) >> 5 & 3)
#define CPUID_BIT_BIT(feature)     ((feature)&31)

// clang-format off
#define CPU_FEATURES(FEATURE) \
    FEATURE(SSE3, "sse3", 1U, 0, ECX, 0) \
    FEATURE(PCLMULQDQ, "pclmulqdq", 1U, 0, ECX, 1) \
    FEATURE(MONITOR, "monitor", 1U, 0, ECX, 3) \
    FEATURE(VMX, "vmx", 1U, 0, ECX, 5) \
    FEATURE(SSSE3, "ssse3", 1U, 0, ECX, 9) \
    FEATURE(FMA, "fma", 1U, 0, ECX, 12) \
    FEATURE(CX16, "cx16", 1U, 0, ECX, 13) \
    FEATURE(PCID, "pcid", 1U, 0, ECX, 17) \
    FEATURE(SSE4_1, "sse4_1", 1U, 0, ECX, 19) \
    FEATURE(SSE4_2, "sse4_2", 1U, 0, ECX, 20) \
    FEATURE(X2APIC, "x2apic", 1U, 0, ECX, 21) \
    FEATURE(MOVBE, "movbe", 1U, 0, ECX, 22) \
    FEATURE(POPCNT, "popcnt", 1U, 0, ECX, 23) \
    FEATURE(TSC_DEADLINE, "tsc_deadline", 1U, 0, ECX, 24) \
    FEATURE(AES, "aes", 1U, 0, ECX, 25) \
    FEATURE(XSAVE, "xsave", 1U, 0, ECX, 26) \
    FEATURE(AVX, "avx", 1U, 0, ECX, 28) \
    FEATURE(F16C, "f16c", 1U, 0, ECX, 29) \
    FEATURE(RDRAND, "rdrand", 1U, 0, ECX, 30) \
    FEATURE(HYPERVISOR, "hypervisor", 1U, 0, ECX, 31) \
    FEATURE(VME, "vme", 1U, 0, EDX, 1) \
    FEATURE(DE, "de", 1U, 0, EDX, 2) \
    FEATURE(PSE, "pse", 1U, 0, EDX, 3) \
    FEATURE(MCE, "mce", 1U, 0, EDX, 7) \
    FEATURE(SEP, "sep", 1U, 0, EDX, 11) \
    FEATURE(MTRR, "mtrr", 1U, 0, EDX, 12) \
    FEATURE(PGE, "pge", 1U, 0, EDX, 13) \
    FEATURE(MCA, "mca", 1U, 0, EDX, 14) \
    FEATURE(PAT, "pat", 1U, 0, EDX, 16) \
    FEATURE(PSE36, "pse36", 1U, 0, EDX, 17) \
    FEATURE(CLFLUSH, "clflush", 1U, 0, EDX, 19) \
    FEATURE(FXSR, "fxsr", 1U, 0, EDX, 24) \
    FEATURE(SSE, "sse", 1U, 0, EDX, 25) \
    FEATURE(SSE2, "sse2", 1U, 0, EDX, 26) \
    FEATURE(HT, "ht", 1U, 0, EDX, 28) \
    FEATURE(FSGSBASE, "fsgsbase", 7U, 0, EBX, 0) \
    FEATURE(TSC_ADJUST, "tsc_adjust", 7U, 0, EBX, 1) \
    FEATURE(BMI1, "bmi1", 7U, 0, EBX, 3) \
    FEATURE(HLE, "hle", 7U, 0, EBX, 4) \
    FEATURE(AVX2, "avx2", 7U, 0, EBX, 5) \
    FEATURE(SMEP, "smep", 7U, 0, EBX, 7) \
    FEATURE(BMI2, "bmi2", 7U, 0, EBX, 8) \
    FEATURE(ERMS, "erms", 7U, 0, EBX, 9) \
    FEATURE(INVPCID, "invpcid", 7U, 0, EBX, 10) \
    FEATURE(RTM, "rtm", 7U, 0, EBX, 11) \
    FEATURE(MPX, "mpx", 7U, 0, EBX, 14) \
    FEATURE(AVX512F, "avx512f", 7U, 0, EBX, 16) \
    FEATURE(AVX512DQ, "avx512dq", 7U, 0, EBX, 17) \
    FEATURE(RDSEED, "rdseed", 7U, 0, EBX, 18) \
    FEATURE(ADX, "adx", 7U, 0, EBX, 19) \
    FEATURE(SMAP, "smap", 7U, 0, EBX, 20) \
    FEATURE(CLFLUSHOPT, "clflushopt", 7U, 0, EBX, 23) \
    FEATURE(CLWB, "clwb", 7U, 0, EBX, 24) \
    FEATURE(AVX512CD, "avx512cd", 7U, 0, EBX, 28) \
    FEATURE(SHA_NI, "sha_ni", 7U, 0, EBX, 29) \
    FEATURE(AVX512BW, "avx512bw", 7U, 0, EBX, 30) \
    FEATURE(AVX512VL, "avx512vl", 7U, 0, EBX, 31) \
    FEATURE(UMIP, "umip", 7U, 0, ECX, 2) \
    FEATURE(PKU, "pku", 7U, 0, ECX, 3) \
    FEATURE(WAITPKG, "waitpkg", 7U, 0, ECX, 5) \
    FEATURE(SHSTK, "shstk", 7U, 0, ECX, 7) \
    FEATURE(GFNI, "gfni", 7U, 0, ECX, 8) \
    FEATURE(VAES, "vaes", 7U, 0, ECX, 9) \
    FEATURE(VPCLMULQDQ, "vpclmulqdq", 7U, 0, ECX, 10) \
    FEATURE(LA57, "la57", 7U, 0, ECX, 16) \
    FEATURE(RDPID, "rdpid", 7U, 0, ECX, 22) \
    FEATURE(MOVDIRI, "movdiri", 7U, 0, ECX, 27) \
    FEATURE(MOVDIR64B, "movdir64b", 7U, 0, ECX, 28) \
    FEATURE(FSRM, "fsrm", 7U, 0, EDX, 4) \
    FEATURE(MD_CLEAR, "md_clear", 7U, 0, EDX, 10) \
    FEATURE(IBT, "ibt", 7U, 0, EDX, 20) \
    FEATURE(IBRS, "spec_ctrl", 7U, 0, EDX, 26) \
    FEATURE(STIBP, "stibp", 7U, 0, EDX, 27) \
    FEATURE(ARCH_CAP, "arch_capabilities", 7U, 0, EDX, 29) \
    FEATURE(SSBD, "ssbd", 7U, 0, EDX, 31) \
    FEATURE(XSAVEOPT, "xsaveopt", 13U, 1, EAX, 0) \
    FEATURE(XSAVEC, "xsavec", 13U, 1, EAX, 1) \
    FEATURE(XGETBV1, "xgetbv1", 13U, 1, EAX, 2) \
    FEATURE(XSAVES, "xsaves", 13U, 1, EAX, 3) \
    FEATURE(KVM_STEAL_TIME, "kvm_steal_time", 0x40000001U, 0, EAX, 5) \
    FEATURE(KVM_PV_EOI, "kvm_pv_eoi", 0x40000001U, 0, EAX, 6) \
    FEATURE(KVM_PV_UNHALT, "kvm_pv_unhalt", 0x40000001U, 0, EAX, 7) \
    FEATURE(KVM_PV_TLB_FLUSH, "kvm_pv_tlb_flush", 0x40000001U, 0, EAX, 9) \
    FEATURE(KVM_SEND_IPI, "kvm_pv_ipi", 0x40000001U, 0, EAX, 11) \
    FEATURE(KVM_SCHED_YIELD, "kvm_pv_sched_yield", 0x40000001U, 0, EAX, 13) \
    FEATURE(LAHF_LM, "lahf_lm", 0x80000001U, 0, ECX, 0) \
    FEATURE(ABM, "abm", 0x80000001U, 0, ECX, 5) \
    FEATURE(3DNOWPREFETCH, "3dnowprefetch", 0x80000001U, 0, ECX, 8) \
    FEATURE(SYSCALL, "syscall", 0x80000001U, 0, EDX, 11) \
    FEATURE(NX, "nx", 0x80000001U, 0, EDX, 20) \
    FEATURE(PDPE1GB, "pdpe1gb", 0x80000001U, 0, EDX, 26) \
    FEATURE(RDTSCP, "rdtscp", 0x80000001U, 0, EDX, 27) \
    FEATURE(LM, "lm", 0x80000001U, 0, EDX, 29) \
    FEATURE(CONSTANT_TSC, "constant_tsc", 0x80000007U, 0, EDX, 8)
// clang-format on

#define CPU_FEATURE_BIT(feature, name, leaf, subleaf, in, bit)                                     \
    CPUID_##feature = CPUID_BIT(leaf, subleaf, CPUID_##in, bit),
enum cpu_feature_bit { CPU_FEATURES(CPU_FEATURE_BIT) };

struct cpu_feature {
    const char *name;
    uint32_t bit; // CPUID_BIT
};

extern const struct cpu_feature cpu_features[];
extern const unsigned cpu_feature_count;
