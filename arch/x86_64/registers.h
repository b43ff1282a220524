// Control registers, MSRs, CPUID and the other instructions that C has no words for.
#pragma once

#include "lib/bits.h"

#define DEFINE_REGISTER(name)                                                                      \
    static inline uint64_t read_##name(void)                                                       \
    {                                                                                              \
        uint64_t value;                                                                            \
        __asm__ volatile("mov %%" #name ", %0" : "=r"(value));                                     \
        return value;                                                                              \
    }                                                                                              \
    static inline void write_##name(uint64_t value)                                                \
    {                                                                                              \
        __asm__ volatile("mov %0, %%" #name : : "r"(value) : "memory");                            \
    }
DEFINE_REGISTER(cr0)
DEFINE_REGISTER(cr2)
DEFINE_REGISTER(cr3)
DEFINE_REGISTER(cr4)
DEFINE_REGISTER(dr0)
DEFINE_REGISTER(dr1)
DEFINE_REGISTER(dr2)
DEFINE_REGISTER(dr3)
DEFINE_REGISTER(dr6)
DEFINE_REGISTER(dr7)
#undef DEFINE_REGISTER

#define MSR_TSC               0x10
#define MSR_APIC_BASE         0x1b
#define MSR_SPEC_CTRL         0x48
#define MSR_PRED_CMD          0x49
#define MSR_ARCH_CAPABILITIES 0x10a
#define MSR_FLUSH_CMD         0x10b
#define MSR_TSX_CTRL          0x122
#define MSR_MCU_OPT_CTRL      0x123
#define MSR_MISC_ENABLE       0x1a0
#define MSR_PAT               0x277
#define MSR_TSC_DEADLINE      0x6e0
#define MSR_X2APIC            0x800
#define MSR_XSS               0xda0
#define MSR_EFER              0xc0000080
#define MSR_STAR              0xc0000081
#define MSR_LSTAR             0xc0000082
#define MSR_CSTAR             0xc0000083
#define MSR_FMASK             0xc0000084
#define MSR_GS_BASE           0xc0000101
#define MSR_KERNEL_GS_BASE    0xc0000102
#define MSR_TSC_AUX           0xc0000103

static inline uint64_t rdmsr(uint32_t index)
{
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
    return (uint64_t)high << 32 | low;
}

static inline void wrmsr(uint32_t index, uint64_t value)
{
    __asm__ volatile("wrmsr"
                     :
                     : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                     : "memory");
}

// An instruction that may raise #GP, and where it then goes on: a row of the table that traps.c
// looks into.
#define FIXUP(instruction, refused)                                                                \
    "1:\t" instruction "\n\t.pushsection .fixups, \"a\"\n\t"                                       \
    ".long 1b - ., %l[" #refused "] - .\n\t.popsection"

// The same for MSRs that may not exist: false, and 0 read, where the CPU answers with #GP.
static inline bool rdmsr_safe(uint32_t index, uint64_t *value)
{
    uint32_t low, high;
    __asm__ goto(FIXUP("rdmsr", refused) : "=a"(low), "=d"(high) : "c"(index) : : refused);
    *value = (uint64_t)high << 32 | low;
    return true;
refused:
    *value = 0;
    return false;
}

static inline bool wrmsr_safe(uint32_t index, uint64_t value)
{
    __asm__ goto(FIXUP("wrmsr", refused)
                 :
                 : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                 : "memory"
                 : refused);
    return true;
refused:
    return false;
}

struct cpuid_result {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid_result cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_result r;
    __asm__ volatile("cpuid"
                     : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
                     : "a"(leaf), "c"(subleaf));
    return r;
}

static inline void xsetbv(uint32_t index, uint64_t value)
{
    __asm__ volatile("xsetbv" : : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static inline void xsave(void *area, uint64_t mask)
{
    __asm__ volatile("xsave64 (%0)"
                     :
                     : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
                     : "memory");
}

static inline void xrstor(const void *area, uint64_t mask)
{
    __asm__ volatile("xrstor64 (%0)"
                     :
                     : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
                     : "memory");
}

static inline void fxsave(void *area)
{
    __asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
}

static inline void fxrstor(const void *area)
{
    __asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
}

static inline void invlpg(uint64_t address)
{
    __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

// False: the CPU has no number at hand.
static inline bool rdrand(uint64_t *value)
{
    bool has_it;
    __asm__ volatile("rdrand %0" : "=r"(*value), "=@ccc"(has_it));
    return has_it;
}

static inline bool rdseed(uint64_t *value)
{
    bool has_it;
    __asm__ volatile("rdseed %0" : "=r"(*value), "=@ccc"(has_it));
    return has_it;
}

static inline void interrupts_off(void)
{
    __asm__ volatile("cli" : : : "memory");
}
