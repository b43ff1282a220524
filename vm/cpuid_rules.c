// The CPUID policy's table: for each register, which host bits guests see and which are set
// whatever the host has; what the table does not list reads as zero. Then what depends on the
// machine, and what vms.conf says. SDM: "CPUID-CPU Identification".

#include "vm/cpuid_rules.h"

#define ALL UINT32_MAX

struct rule {
    uint32_t leaf;
    uint32_t subleaf;
    struct {
        uint32_t pass;
        uint32_t set;
    } eax, ebx, ecx, edx;
};

#define B(n) BIT32(n)
#define WHOLE(number)                                                                              \
    {                                                                                              \
        .leaf = (number), .eax = {ALL, 0}, .ebx = {ALL, 0}, .ecx = {ALL, 0}, .edx = { ALL, 0 }     \
    }

// Hidden on purpose: MONITOR, VMX, SMX, thermal and power management, PDCM, DCA, PSN, DS, TM, TSX,
// PQM, MPX, SGX, PT, TME, 5-level paging, CET, key locker, PKS, PCONFIG, UINTR, LBR, AMX, PMU, HWP,
// hybrid, bus-lock detection.
static const struct rule rules[] = {
    {.leaf = 0x0, .ebx = {.pass = ALL}, .ecx = {.pass = ALL}, .edx = {.pass = ALL}},
    {.leaf = 0x1,
     .eax = {.pass = ALL},
     .ebx = {.pass = 0x0000ff00}, // CLFLUSH line size
     // SSE3 PCLMULQDQ SSSE3 FMA CMPXCHG16B PCID SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C
     // RDRAND; x2APIC, TSC deadline and the hypervisor bit are ours
     .ecx = {.pass = B(0) | B(1) | B(9) | B(12) | B(13) | B(17) | B(19) | B(20) | B(22) | B(23) |
                     B(25) | B(26) | B(28) | B(29) | B(30),
             .set = B(21) | B(24) | B(31)},
     // FPU VME DE PSE TSC MSR PAE MCE CX8 SEP PGE CMOV PAT PSE36 CLFLUSH MMX FXSR SSE SSE2 SS; MTRR
     // and MCA are ours; APIC is live
     .edx = {.pass = B(0) | B(1) | B(2) | B(3) | B(4) | B(5) | B(6) | B(8) | B(11) | B(13) | B(15) |
                     B(16) | B(17) | B(19) | B(23) | B(24) | B(25) | B(26) | B(27),
             .set = B(7) | B(12) | B(14)}},
    WHOLE(0x2),
    {.leaf = 0x6, .eax = {.set = B(2)}}, // ARAT: the virtual timer never stops
    {.leaf = 0x7,
     .subleaf = 0,
     // FSGSBASE BMI1 AVX2 FDP SMEP BMI2 ERMS INVPCID FCS AVX512F AVX512DQ RDSEED ADX SMAP
     // AVX512IFMA CLFLUSHOPT CLWB AVX512PF AVX512ER AVX512CD SHA AVX512BW AVX512VL; TSC_ADJUST is
     // ours
     .ebx = {.pass = B(0) | B(3) | B(5) | B(6) | B(7) | B(8) | B(9) | B(10) | B(13) | B(16) |
                     B(17) | B(18) | B(19) | B(20) | B(21) | B(23) | B(24) | B(26) | B(27) | B(28) |
                     B(29) | B(30) | B(31),
             .set = B(1)},
     // PREFETCHWT1 VBMI UMIP PKU WAITPKG VBMI2 GFNI VAES VPCLMULQDQ VNNI BITALG VPOPCNTDQ LA57
     // RDPID CLDEMOTE MOVDIRI MOVDIR64B
     .ecx = {.pass = B(0) | B(1) | B(2) | B(3) | B(5) | B(6) | B(8) | B(9) | B(10) | B(11) | B(12) |
                     B(14) | B(16) | B(22) | B(25) | B(27) | B(28)},
     // 4VNNIW 4FMAPS FSRM VP2INTERSECT MD_CLEAR SERIALIZE AVX512_FP16 IBRS STIBP L1D_FLUSH ARCH_CAP
     // SSBD
     .edx = {.pass = B(2) | B(3) | B(4) | B(8) | B(10) | B(14) | B(23) | B(26) | B(27) | B(28) |
                     B(29) | B(31)}},
    // SHA512 SM3 SM4 AVX_VNNI AVX512_BF16, fast zero-length MOVSB, short STOSB, short CMPSB;
    // AVX_IFMA
    {.leaf = 0x7,
     .subleaf = 1,
     .eax = {.pass = B(0) | B(1) | B(2) | B(4) | B(5) | B(10) | B(11) | B(12) | B(23)}},
    // XSAVEOPT XSAVEC XGETBV-with-ECX-1 XSAVES; the sizes are computed
    {.leaf = 0xd, .subleaf = 1, .eax = {.pass = B(0) | B(1) | B(2) | B(3)}},
    // KVM's: the clock at its old and its new MSRs, no delay after port I/O, steal time, EOI in
    // memory, wake-up by hypercall, TLB flush by the record of steal time, IPIs and directed yield
    // by hypercall, and a TSC on which all vCPUs agree
    {.leaf = 0x40000001,
     .eax = {.set = B(0) | B(1) | B(3) | B(5) | B(6) | B(7) | B(9) | B(11) | B(13) | B(24)}},
    // LAHF LZCNT PREFETCHW; SYSCALL NX 1G-pages RDTSCP LM
    {.leaf = 0x80000001,
     .ecx = {.pass = B(0) | B(5) | B(8)},
     .edx = {.pass = B(11) | B(20) | B(26) | B(27) | B(29)}},
    WHOLE(0x80000002), // the name, in three leaves
    WHOLE(0x80000003),
    WHOLE(0x80000004),
    {.leaf = 0x80000006, .ecx = {.pass = ALL}},  // L2 cache
    {.leaf = 0x80000007, .edx = {.pass = B(8)}}, // invariant TSC
    {.leaf = 0x80000008, .ebx = {.pass = B(9)}}, // WBNOINVD; the widths are computed
};

// Features that need more than the CPU: the flag without which, or with which, they are hidden.
static const struct {
    uint32_t flag;
    bool hidden_if; // the flag's value that hides it
    uint32_t feature;
} conditions[] = {
    {CPUID_HOST_RDTSCP, false, CPUID_RDTSCP},
    {CPUID_HOST_RDTSCP, false, CPUID_RDPID},
    {CPUID_HOST_INVPCID, false, CPUID_INVPCID},
    {CPUID_HOST_XSAVES, false, CPUID_XSAVES},
    {CPUID_HOST_USER_WAIT, false, CPUID_WAITPKG},
    {CPUID_HOST_SPECULATION, false, CPUID_IBRS},
    {CPUID_HOST_SPECULATION, false, CPUID_STIBP},
    {CPUID_HOST_SPECULATION, false, CPUID_SSBD},
    {CPUID_HOST_SPECULATION, false, CPUID_L1D_FLUSH},
    // Bochs: guests die of FSRM, PKRU acts on supervisor pages, compaction puts components in the
    // wrong place
    {CPUID_HOST_EMULATED, true, CPUID_FSRM},
    {CPUID_HOST_EMULATED, true, CPUID_PKU},
    {CPUID_HOST_EMULATED, true, CPUID_XSAVEC},
    {CPUID_HOST_EMULATED, true, CPUID_XSAVES},
};

static uint32_t *register_of(struct cpuid_leaves *leaves, uint32_t feature)
{
    for (unsigned i = 0; i < leaves->count; i++) {
        struct cpuid_leaf *at = &leaves->leaf[i];
        uint32_t *const registers[] = {&at->eax, &at->ebx, &at->ecx, &at->edx};
        if (at->leaf == CPUID_BIT_LEAF(feature) && at->subleaf == CPUID_BIT_SUBLEAF(feature))
            return registers[CPUID_BIT_IN(feature)];
    }
    return NULL;
}

static void add_by_rules(struct cpuid_leaves *leaves, const struct cpuid_leaves *host)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(rules); i++) {
        const struct rule *rule = &rules[i];
        const struct cpuid_leaf *from = cpuid_find(host, rule->leaf, rule->subleaf);
        cpuid_add(leaves, (struct cpuid_leaf){
                              .leaf = rule->leaf,
                              .subleaf = rule->subleaf,
                              .eax = (from->eax & rule->eax.pass) | rule->eax.set,
                              .ebx = (from->ebx & rule->ebx.pass) | rule->ebx.set,
                              .ecx = (from->ecx & rule->ecx.pass) | rule->ecx.set,
                              .edx = (from->edx & rule->edx.pass) | rule->edx.set,
                          });
    }
}

// What vms.conf says: a feature can always be taken away, and given only where the rules would.
static void apply_config(struct cpuid_leaves *leaves, struct cpuid_leaves *ruled,
                         const struct cpuid_inputs *inputs)
{
    for (unsigned i = 0; i < inputs->feature_count; i++) {
        uint32_t feature = cpu_features[inputs->feature[i].index].bit;
        uint32_t *in = register_of(leaves, feature), bit = BIT32(CPUID_BIT_BIT(feature));
        if (in)
            *in =
                (*in & ~bit) | (inputs->feature[i].enable ? *register_of(ruled, feature) & bit : 0);
    }
}

static void apply_conditions(struct cpuid_leaves *leaves, uint32_t flags, bool hidden_if)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(conditions); i++)
        if (conditions[i].hidden_if == hidden_if &&
            ((flags & conditions[i].flag) != 0) == hidden_if) {
            uint32_t *in = register_of(leaves, conditions[i].feature);
            if (in)
                *in &= ~BIT32(CPUID_BIT_BIT(conditions[i].feature));
        }
}

void cpuid_add_ruled(struct cpuid_leaves *leaves, const struct cpuid_leaves *host,
                     const struct cpuid_inputs *inputs)
{
    add_by_rules(leaves, host);
    struct cpuid_leaves ruled = *leaves;
    apply_conditions(leaves, inputs->flags, true);
    apply_config(leaves, &ruled, inputs);
    apply_conditions(leaves, inputs->flags, false);
}
