// CPU features: where CPUID reports each, their names as /proc/cpuinfo and QEMU spell them, and
// when a guest sees them. vms.conf's `cpuid` key speaks in these names. SDM: "CPUID-CPU
// Identification", the tables of feature information.
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

// Hidden on purpose, with a row here or without: MONITOR, VMX, SMX, thermal and power management,
// PDCM, DCA, PSN, DS, TM, TSX, PQM, MPX, SGX, PT, TME, CET, key locker, PKS, PCONFIG, UINTR, LBR,
// AMX, PMU, HWP, hybrid, bus-lock detection. Bochs: guests die of FSRM, PKRU acts on supervisor
// pages, compaction puts components in the wrong place. RDTSCP and RDPID have one control and one
// MSR, IBRS, STIBP and SSBD too.
// clang-format off
#define CPU_FEATURES(FEATURE) \
    FEATURE(SSE3, "sse3", 1U, 0, ECX, 0, PASSED, .needs = {CPUID_SSE2}) \
    FEATURE(PCLMULQDQ, "pclmulqdq", 1U, 0, ECX, 1, PASSED, .needs = {CPUID_SSE2}) \
    FEATURE(MONITOR, "monitor", 1U, 0, ECX, 3, HIDDEN) \
    FEATURE(VMX, "vmx", 1U, 0, ECX, 5, HIDDEN) \
    FEATURE(SSSE3, "ssse3", 1U, 0, ECX, 9, PASSED, .needs = {CPUID_SSE3}) \
    FEATURE(FMA, "fma", 1U, 0, ECX, 12, PASSED, .needs = {CPUID_AVX}) \
    FEATURE(CX16, "cx16", 1U, 0, ECX, 13, PASSED, .needs = {CPUID_LM}) \
    FEATURE(PCID, "pcid", 1U, 0, ECX, 17, PASSED, .needs = {CPUID_LM}) \
    FEATURE(SSE4_1, "sse4_1", 1U, 0, ECX, 19, PASSED, .needs = {CPUID_SSSE3}) \
    FEATURE(SSE4_2, "sse4_2", 1U, 0, ECX, 20, PASSED, .needs = {CPUID_SSE4_1}) \
    FEATURE(X2APIC, "x2apic", 1U, 0, ECX, 21, OURS) \
    FEATURE(MOVBE, "movbe", 1U, 0, ECX, 22, PASSED) \
    FEATURE(POPCNT, "popcnt", 1U, 0, ECX, 23, PASSED) \
    FEATURE(TSC_DEADLINE, "tsc_deadline", 1U, 0, ECX, 24, OURS, .needs = {CPUID_TSC}) \
    FEATURE(AES, "aes", 1U, 0, ECX, 25, PASSED, .needs = {CPUID_SSE2}) \
    FEATURE(XSAVE, "xsave", 1U, 0, ECX, 26, PASSED) \
    FEATURE(AVX, "avx", 1U, 0, ECX, 28, PASSED, .needs = {CPUID_XSAVE, CPUID_SSE4_2}) \
    FEATURE(F16C, "f16c", 1U, 0, ECX, 29, PASSED, .needs = {CPUID_AVX}) \
    FEATURE(RDRAND, "rdrand", 1U, 0, ECX, 30, PASSED) \
    FEATURE(HYPERVISOR, "hypervisor", 1U, 0, ECX, 31, OURS) \
    FEATURE(VME, "vme", 1U, 0, EDX, 1, PASSED) \
    FEATURE(DE, "de", 1U, 0, EDX, 2, PASSED) \
    FEATURE(PSE, "pse", 1U, 0, EDX, 3, PASSED) \
    FEATURE(TSC, "tsc", 1U, 0, EDX, 4, PASSED) \
    FEATURE(PAE, "pae", 1U, 0, EDX, 6, PASSED) \
    FEATURE(MCE, "mce", 1U, 0, EDX, 7, OURS) \
    FEATURE(SEP, "sep", 1U, 0, EDX, 11, PASSED) \
    FEATURE(MTRR, "mtrr", 1U, 0, EDX, 12, OURS) \
    FEATURE(PGE, "pge", 1U, 0, EDX, 13, PASSED) \
    FEATURE(MCA, "mca", 1U, 0, EDX, 14, OURS, .needs = {CPUID_MCE}) \
    FEATURE(PAT, "pat", 1U, 0, EDX, 16, PASSED) \
    FEATURE(PSE36, "pse36", 1U, 0, EDX, 17, PASSED, .needs = {CPUID_PSE}) \
    FEATURE(CLFLUSH, "clflush", 1U, 0, EDX, 19, PASSED) \
    FEATURE(FXSR, "fxsr", 1U, 0, EDX, 24, PASSED) \
    FEATURE(SSE, "sse", 1U, 0, EDX, 25, PASSED, .needs = {CPUID_FXSR}) \
    FEATURE(SSE2, "sse2", 1U, 0, EDX, 26, PASSED, .needs = {CPUID_SSE}) \
    FEATURE(HT, "ht", 1U, 0, EDX, 28, OURS, .flags = CPUID_SEVERAL_VCPUS) \
    FEATURE(FSGSBASE, "fsgsbase", 7U, 0, EBX, 0, PASSED, .needs = {CPUID_LM}) \
    FEATURE(TSC_ADJUST, "tsc_adjust", 7U, 0, EBX, 1, OURS, .needs = {CPUID_TSC}) \
    FEATURE(BMI1, "bmi1", 7U, 0, EBX, 3, PASSED) \
    FEATURE(HLE, "hle", 7U, 0, EBX, 4, HIDDEN) \
    FEATURE(AVX2, "avx2", 7U, 0, EBX, 5, PASSED, .needs = {CPUID_AVX}) \
    FEATURE(SMEP, "smep", 7U, 0, EBX, 7, PASSED) \
    FEATURE(BMI2, "bmi2", 7U, 0, EBX, 8, PASSED) \
    FEATURE(ERMS, "erms", 7U, 0, EBX, 9, PASSED) \
    FEATURE(INVPCID, "invpcid", 7U, 0, EBX, 10, PASSED, .flags = CPUID_HOST_INVPCID, .needs = {CPUID_PCID}) \
    FEATURE(RTM, "rtm", 7U, 0, EBX, 11, HIDDEN) \
    FEATURE(MPX, "mpx", 7U, 0, EBX, 14, HIDDEN) \
    FEATURE(AVX512F, "avx512f", 7U, 0, EBX, 16, PASSED, .needs = {CPUID_AVX2}) \
    FEATURE(AVX512DQ, "avx512dq", 7U, 0, EBX, 17, PASSED, .needs = {CPUID_AVX512F}) \
    FEATURE(RDSEED, "rdseed", 7U, 0, EBX, 18, PASSED) \
    FEATURE(ADX, "adx", 7U, 0, EBX, 19, PASSED) \
    FEATURE(SMAP, "smap", 7U, 0, EBX, 20, PASSED) \
    FEATURE(AVX512IFMA, "avx512ifma", 7U, 0, EBX, 21, PASSED, .needs = {CPUID_AVX512F}) \
    FEATURE(CLFLUSHOPT, "clflushopt", 7U, 0, EBX, 23, PASSED, .needs = {CPUID_CLFLUSH}) \
    FEATURE(CLWB, "clwb", 7U, 0, EBX, 24, PASSED, .needs = {CPUID_CLFLUSH}) \
    FEATURE(AVX512PF, "avx512pf", 7U, 0, EBX, 26, PASSED, .needs = {CPUID_AVX512F}) \
    FEATURE(AVX512ER, "avx512er", 7U, 0, EBX, 27, PASSED, .needs = {CPUID_AVX512F}) \
    FEATURE(AVX512CD, "avx512cd", 7U, 0, EBX, 28, PASSED, .needs = {CPUID_AVX512F}) \
    FEATURE(SHA_NI, "sha_ni", 7U, 0, EBX, 29, PASSED, .needs = {CPUID_SSE2}) \
    FEATURE(AVX512BW, "avx512bw", 7U, 0, EBX, 30, PASSED, .needs = {CPUID_AVX512F}) \
    FEATURE(AVX512VL, "avx512vl", 7U, 0, EBX, 31, PASSED, .needs = {CPUID_AVX512F}) \
    FEATURE(AVX512VBMI, "avx512vbmi", 7U, 0, ECX, 1, PASSED, .needs = {CPUID_AVX512BW}) \
    FEATURE(UMIP, "umip", 7U, 0, ECX, 2, PASSED) \
    FEATURE(PKU, "pku", 7U, 0, ECX, 3, PASSED, .is_wrong_emulated = true, .needs = {CPUID_XSAVE, CPUID_LM}) \
    FEATURE(WAITPKG, "waitpkg", 7U, 0, ECX, 5, PASSED, .flags = CPUID_HOST_USER_WAIT) \
    FEATURE(AVX512_VBMI2, "avx512_vbmi2", 7U, 0, ECX, 6, PASSED, .needs = {CPUID_AVX512BW}) \
    FEATURE(SHSTK, "shstk", 7U, 0, ECX, 7, HIDDEN) \
    FEATURE(GFNI, "gfni", 7U, 0, ECX, 8, PASSED, .needs = {CPUID_SSE2}) \
    FEATURE(VAES, "vaes", 7U, 0, ECX, 9, PASSED, .needs = {CPUID_AVX, CPUID_AES}) \
    FEATURE(VPCLMULQDQ, "vpclmulqdq", 7U, 0, ECX, 10, PASSED, .needs = {CPUID_AVX, CPUID_PCLMULQDQ}) \
    FEATURE(AVX512_VNNI, "avx512_vnni", 7U, 0, ECX, 11, PASSED, .needs = {CPUID_AVX512F}) \
    FEATURE(AVX512_BITALG, "avx512_bitalg", 7U, 0, ECX, 12, PASSED, .needs = {CPUID_AVX512BW}) \
    FEATURE(AVX512_VPOPCNTDQ, "avx512_vpopcntdq", 7U, 0, ECX, 14, PASSED, .needs = {CPUID_AVX512F}) \
    FEATURE(LA57, "la57", 7U, 0, ECX, 16, PASSED, .needs = {CPUID_LM}) \
    FEATURE(RDPID, "rdpid", 7U, 0, ECX, 22, PASSED, .flags = CPUID_HOST_RDTSCP, .needs = {CPUID_RDTSCP}) \
    FEATURE(CLDEMOTE, "cldemote", 7U, 0, ECX, 25, PASSED, .needs = {CPUID_CLFLUSH}) \
    FEATURE(MOVDIRI, "movdiri", 7U, 0, ECX, 27, PASSED) \
    FEATURE(MOVDIR64B, "movdir64b", 7U, 0, ECX, 28, PASSED) \
    FEATURE(AVX512_4VNNIW, "avx512_4vnniw", 7U, 0, EDX, 2, PASSED, .needs = {CPUID_AVX512F}) \
    FEATURE(AVX512_4FMAPS, "avx512_4fmaps", 7U, 0, EDX, 3, PASSED, .needs = {CPUID_AVX512F}) \
    FEATURE(FSRM, "fsrm", 7U, 0, EDX, 4, PASSED, .is_wrong_emulated = true) \
    FEATURE(AVX512_VP2INTERSECT, "avx512_vp2intersect", 7U, 0, EDX, 8, PASSED, .needs = {CPUID_AVX512F}) \
    FEATURE(MD_CLEAR, "md_clear", 7U, 0, EDX, 10, PASSED) \
    FEATURE(SERIALIZE, "serialize", 7U, 0, EDX, 14, PASSED) \
    FEATURE(IBT, "ibt", 7U, 0, EDX, 20, HIDDEN) \
    FEATURE(AVX512_FP16, "avx512_fp16", 7U, 0, EDX, 23, PASSED, .needs = {CPUID_AVX512BW}) \
    FEATURE(IBRS, "spec_ctrl", 7U, 0, EDX, 26, PASSED, .flags = CPUID_HOST_SPECULATION) \
    FEATURE(STIBP, "stibp", 7U, 0, EDX, 27, PASSED, .flags = CPUID_HOST_SPECULATION, .needs = {CPUID_IBRS}) \
    FEATURE(L1D_FLUSH, "flush_l1d", 7U, 0, EDX, 28, PASSED, .flags = CPUID_HOST_SPECULATION) \
    FEATURE(ARCH_CAP, "arch_capabilities", 7U, 0, EDX, 29, PASSED) \
    FEATURE(SSBD, "ssbd", 7U, 0, EDX, 31, PASSED, .flags = CPUID_HOST_SPECULATION, .needs = {CPUID_IBRS}) \
    FEATURE(SHA512, "sha512", 7U, 1, EAX, 0, PASSED, .needs = {CPUID_AVX2}) \
    FEATURE(SM3, "sm3", 7U, 1, EAX, 1, PASSED, .needs = {CPUID_AVX}) \
    FEATURE(SM4, "sm4", 7U, 1, EAX, 2, PASSED, .needs = {CPUID_AVX2}) \
    FEATURE(AVX_VNNI, "avx_vnni", 7U, 1, EAX, 4, PASSED, .needs = {CPUID_AVX2}) \
    FEATURE(AVX512_BF16, "avx512_bf16", 7U, 1, EAX, 5, PASSED, .needs = {CPUID_AVX512BW}) \
    FEATURE(AVX_IFMA, "avx_ifma", 7U, 1, EAX, 23, PASSED, .needs = {CPUID_AVX2}) \
    FEATURE(XSAVEOPT, "xsaveopt", 13U, 1, EAX, 0, PASSED, .needs = {CPUID_XSAVE}) \
    FEATURE(XSAVEC, "xsavec", 13U, 1, EAX, 1, PASSED, .is_wrong_emulated = true, .needs = {CPUID_XSAVE}) \
    FEATURE(XGETBV1, "xgetbv1", 13U, 1, EAX, 2, PASSED, .needs = {CPUID_XSAVE}) \
    FEATURE(XSAVES, "xsaves", 13U, 1, EAX, 3, PASSED, .flags = CPUID_HOST_XSAVES, .is_wrong_emulated = true, .needs = {CPUID_XSAVE}) \
    FEATURE(KVM_STEAL_TIME, "kvm_steal_time", 0x40000001U, 0, EAX, 5, OURS) \
    FEATURE(KVM_PV_EOI, "kvm_pv_eoi", 0x40000001U, 0, EAX, 6, OURS) \
    FEATURE(KVM_PV_UNHALT, "kvm_pv_unhalt", 0x40000001U, 0, EAX, 7, OURS) \
    FEATURE(KVM_PV_TLB_FLUSH, "kvm_pv_tlb_flush", 0x40000001U, 0, EAX, 9, OURS, .needs = {CPUID_KVM_STEAL_TIME}) \
    FEATURE(KVM_SEND_IPI, "kvm_pv_ipi", 0x40000001U, 0, EAX, 11, OURS) \
    FEATURE(KVM_SCHED_YIELD, "kvm_pv_sched_yield", 0x40000001U, 0, EAX, 13, OURS) \
    FEATURE(LAHF_LM, "lahf_lm", 0x80000001U, 0, ECX, 0, PASSED, .needs = {CPUID_LM}) \
    FEATURE(ABM, "abm", 0x80000001U, 0, ECX, 5, PASSED) \
    FEATURE(3DNOWPREFETCH, "3dnowprefetch", 0x80000001U, 0, ECX, 8, PASSED) \
    FEATURE(SYSCALL, "syscall", 0x80000001U, 0, EDX, 11, PASSED, .needs = {CPUID_LM}) \
    FEATURE(NX, "nx", 0x80000001U, 0, EDX, 20, PASSED, .needs = {CPUID_PAE}) \
    FEATURE(PDPE1GB, "pdpe1gb", 0x80000001U, 0, EDX, 26, PASSED, .needs = {CPUID_LM}) \
    FEATURE(RDTSCP, "rdtscp", 0x80000001U, 0, EDX, 27, PASSED, .flags = CPUID_HOST_RDTSCP, .needs = {CPUID_TSC}) \
    FEATURE(LM, "lm", 0x80000001U, 0, EDX, 29, PASSED, .needs = {CPUID_PAE}) \
    FEATURE(CONSTANT_TSC, "constant_tsc", 0x80000007U, 0, EDX, 8, PASSED, .needs = {CPUID_TSC})
// clang-format on

#define CPU_FEATURE_BIT(feature, name, leaf, subleaf, in, bit, ...)                                \
    CPUID_##feature = CPUID_BIT(leaf, subleaf, CPUID_##in, bit),
enum cpu_feature_bit { CPU_FEATURES(CPU_FEATURE_BIT) };

enum cpuid_rule {
    CPUID_HIDDEN,
    CPUID_PASSED, // as the host has it
    CPUID_OURS,   // there, whatever the host has
};

// What the machine half enables for its guests, and what it knows of the machine.
enum cpuid_flag {
    CPUID_HOST_EMULATED = BIT32(0),  // an emulated CPU (Bochs): hide what it gets wrong
    CPUID_HOST_RDTSCP = BIT32(1),    // VM-execution control "enable RDTSCP" is set
    CPUID_HOST_INVPCID = BIT32(2),   // "enable INVPCID"
    CPUID_HOST_XSAVES = BIT32(3),    // "enable XSAVES/XRSTORS"
    CPUID_HOST_USER_WAIT = BIT32(4), // "enable user wait and pause"
    // SPEC_CTRL is switched between guest and host, PRED_CMD passed through
    CPUID_HOST_SPECULATION = BIT32(5),
    CPUID_SEVERAL_VCPUS = BIT32(6), // cpuid_build() knows itself
};

struct cpu_feature {
    const char *name;
    uint32_t bit; // CPUID_BIT
    enum cpuid_rule rule;
    uint32_t flags;         // enum cpuid_flag: all that it takes
    bool is_wrong_emulated; // hidden with CPUID_HOST_EMULATED, unless vms.conf asks for it
    uint32_t needs[2];      // CPUID_BIT: features without which it does not exist; 0: none
};

extern const struct cpu_feature cpu_features[];
extern const unsigned cpu_feature_count;

// One that vms.conf switches on or off.
struct feature_switch {
    uint16_t index; // in cpu_features[]
    bool enable;
};
