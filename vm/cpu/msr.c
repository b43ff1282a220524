// The MSRs of a vCPU, in one table. Called from the exit handlers of RDMSR and WRMSR (exits/msr.c);
// what the MSR bitmap lets through is here too, for when it is made to exit. SDM: volume 4, "IA-32
// Architectural MSRs".

#include "vm/cpu/msr.h"

#include "lib/string.h"
#include "vm/kvmclock.h"
#include "vm/kvmsteal.h"
#include "vm/vm.h"

#define MISC_ENABLE_FAST_STRINGS BIT(0)
#define MISC_ENABLE_NO_BTS       BIT(11)
#define MISC_ENABLE_NO_PEBS      BIT(12)
#define MISC_ENABLE_FIXED        (MISC_ENABLE_NO_BTS | MISC_ENABLE_NO_PEBS)
#define MISC_ENABLE_READ_ONLY    (BIT(7) | MISC_ENABLE_FIXED) // BIT(7): no counters
#define MISC_ENABLE_XD_DISABLE   BIT(34)
// What is kept as written although it changes nothing: thermal monitor, SpeedStep and its lock,
// MONITOR, the limit of CPUID, prefetchers.
#define MISC_ENABLE_IGNORED                                                                        \
    (BIT(3) | BIT(7) | BIT(16) | BIT(18) | BIT(20) | BIT(22) | BIT(23) | BIT(38) | BIT(39))

#define PAT          0x277
#define MTRR_DEFAULT 0x2ff
#define PRED_CMD     0x49

#define MTRR_DEFAULT_ENABLE (BIT(11) | BIT(10)) // and the fixed ranges
#define MTRR_TYPE           UINT64_C(0xff)
#define MTRR_VALID          BIT(11)
#define MTRR_WRITE_BACK     6
#define MTRR_CAPABILITIES   (BIT(10) | BIT(8) | MTRR_VARIABLE) // write-combining, fixed ranges

#define COMMAND BIT(0) // of PRED_CMD and FLUSH_CMD

#define SPEC_CTRL_IBRS  BIT(0)
#define SPEC_CTRL_STIBP BIT(1)
#define SPEC_CTRL_SSBD  BIT(2)

static bool has(const struct vcpu *vcpu, uint32_t feature)
{
    return cpuid_has(&vcpu->vm->cpuid, feature);
}

static bool accept_linear(const struct vcpu *vcpu, uint32_t index, uint64_t value)
{
    return is_canonical(value, vcpu->vm->cpuid.linear_width);
}

// An MSR that does not exist: counted and listed, then as the VM's configuration says.
static bool read_unknown(struct vcpu *vcpu, uint32_t index, uint64_t *value, uint64_t now)
{
    struct vm *vm = vcpu->vm;
    access_counts_add(&vm->unknown_msrs, index);
    *value = 0;
    return vm->traits.msr_unknown == MSR_UNKNOWN_IGNORE;
}

static bool write_unknown(struct vcpu *vcpu, uint32_t index, uint64_t value, uint64_t now)
{
    return read_unknown(vcpu, index, &value, now);
}

// ---- time stamp counter ----

static uint64_t guest_tsc(const struct vcpu *vcpu, uint64_t now)
{
    return clock_tsc(&vcpu->vm->clock, now) + vcpu->tsc_offset;
}

static void move_tsc(struct vcpu *vcpu, uint64_t by, uint64_t now)
{
    if (by == 0)
        return;
    vcpu->msr.tsc_adjust += by;
    vcpu->tsc_offset += by;
    vcpu->dirty |= STATE_TSC;
    lapic_tsc_changed(vcpu, now);
    kvmclock_update(vcpu);
}

static bool read_tsc(struct vcpu *vcpu, uint32_t index, uint64_t *value, uint64_t now)
{
    *value = guest_tsc(vcpu, now);
    return true;
}

static bool write_tsc(struct vcpu *vcpu, uint32_t index, uint64_t value, uint64_t now)
{
    move_tsc(vcpu, value - guest_tsc(vcpu, now), now);
    return true;
}

static bool write_tsc_adjust(struct vcpu *vcpu, uint32_t index, uint64_t value, uint64_t now)
{
    move_tsc(vcpu, value - vcpu->msr.tsc_adjust, now);
    return true;
}

static bool read_platform_info(struct vcpu *vcpu, uint32_t index, uint64_t *value, uint64_t now)
{
    *value = (vcpu->vm->cpuid.tsc_hz / 100000000 & 0xff) << 8; // the ratio to 100 MHz
    return true;
}

// ---- modes and memory types ----

static bool write_efer(struct vcpu *vcpu, uint32_t index, uint64_t value, uint64_t now)
{
    uint64_t allowed = (has(vcpu, CPUID_SYSCALL) ? EFER_SCE : 0) |
                       (has(vcpu, CPUID_LM) ? EFER_LME | EFER_LMA : 0) |
                       (has(vcpu, CPUID_NX) ? EFER_NXE : 0);
    if (value & ~allowed)
        return false;
    if ((vcpu->cr0 & CR0_PG) && ((value ^ vcpu->efer) & EFER_LME))
        return false;
    value = (value & ~EFER_LMA) | (vcpu->efer & EFER_LMA); // LMA is the CPU's own
    if ((value ^ vcpu->efer) & EFER_NXE)
        vcpu_note(vcpu, REQUEST_FLUSH_TLB);
    vcpu->efer = value;
    vcpu->dirty |= STATE_CONTROL;
    return true;
}

// UC, WC, WT, WP, WB; UC- for the PAT alone.
static bool are_memory_types(uint64_t value, unsigned count, bool pat)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned type = value >> (8 * i) & 0xff;
        if (!(type <= 1 || (type >= 4 && type <= 6) || (pat && type == 7)))
            return false;
    }
    return true;
}

static bool accept_types(const struct vcpu *vcpu, uint32_t index, uint64_t value)
{
    return are_memory_types(value, index == MTRR_DEFAULT ? 1 : 8, index == PAT);
}

static bool accept_mtrr_variable(const struct vcpu *vcpu, uint32_t index, uint64_t value)
{
    uint64_t pages = BITS(vcpu->vm->cpuid.physical_width - 1, 12);
    bool is_mask = index & 1;
    return !(value & ~(pages | (is_mask ? MTRR_VALID : MTRR_TYPE))) &&
           (is_mask || are_memory_types(value, 1, false));
}

// ---- model and speculation ----

static bool write_misc_enable(struct vcpu *vcpu, uint32_t index, uint64_t value, uint64_t now)
{
    if (value & ~(MISC_ENABLE_FAST_STRINGS | MISC_ENABLE_FIXED | MISC_ENABLE_IGNORED |
                  MISC_ENABLE_XD_DISABLE))
        return false;
    vcpu->msr.misc_enable = (value & ~MISC_ENABLE_READ_ONLY) | MISC_ENABLE_FIXED;
    return true;
}

// The microcode revision: writing 0 before CPUID is how software asks for it, a new image is
// declined silently.
static bool ignore_write(struct vcpu *vcpu, uint32_t index, uint64_t value, uint64_t now)
{
    return true;
}

static bool write_zero(struct vcpu *vcpu, uint32_t index, uint64_t value, uint64_t now)
{
    return value == 0;
}

static bool refuse_read(struct vcpu *vcpu, uint32_t index, uint64_t *value, uint64_t now)
{
    return false;
}

static bool accept_spec_ctrl(const struct vcpu *vcpu, uint32_t index, uint64_t value)
{
    uint64_t allowed = (has(vcpu, CPUID_IBRS) ? SPEC_CTRL_IBRS : 0) |
                       (has(vcpu, CPUID_STIBP) ? SPEC_CTRL_STIBP : 0) |
                       (has(vcpu, CPUID_SSBD) ? SPEC_CTRL_SSBD : 0);
    return !(value & ~allowed);
}

// PRED_CMD and FLUSH_CMD: the barrier is the CPU's own, before the guest goes on.
static bool write_command(struct vcpu *vcpu, uint32_t index, uint64_t value, uint64_t now)
{
    if (value & ~COMMAND)
        return false;
    if (value)
        vcpu_note(vcpu, index == PRED_CMD ? REQUEST_PREDICTION_BARRIER : REQUEST_FLUSH_L1D);
    return true;
}

static bool read_arch_capabilities(struct vcpu *vcpu, uint32_t index, uint64_t *value, uint64_t now)
{
    *value = vcpu->vm->cpuid.arch_capabilities;
    return true;
}

// Every CPU has LBR, and no bit of CPUID says so: as under KVM it may be written and stays clear,
// and the last-branch records are zero. All other bits have theirs.
static bool write_debugctl(struct vcpu *vcpu, uint32_t index, uint64_t value, uint64_t now)
{
    if (value & ~(DEBUGCTL_LBR | DEBUGCTL_BTF))
        return false;
    vcpu->debugctl = value & DEBUGCTL_BTF;
    vcpu->dirty |= STATE_DEBUG;
    return true;
}

static bool write_kvm_eoi(struct vcpu *vcpu, uint32_t index, uint64_t value, uint64_t now)
{
    return lapic_set_eoi_flag(vcpu, value);
}

// ---- the table ----

#define ONE(index)      .first = (index)
#define RANGE(from, to) .first = (from), .width = (to) - (from)
#define IN(name)        .field = (uint16_t)offsetof(struct vcpu, name)
#define IN_MEMORY(name) IN(msr.name), .direct_read = true
#define IF(name)        .feature = CPUID_##name
#define ANY             .writable = UINT64_MAX
#define LINEAR          .writable = UINT64_MAX, .accepts = accept_linear
_Static_assert(offsetof(struct vcpu, stats) < UINT16_MAX, "a field's offset fits 16 bits");

const struct msr_row msr_rows[] = {
    // What exits most comes first.
    {ONE(MSR_TSC_DEADLINE), .direct_write = true, .read = lapic_read_msr, .write = lapic_write_msr,
     IF(TSC_DEADLINE)},
    {ONE(0x3b), IN(msr.tsc_adjust), .direct_read = true, .direct_write = true,
     .write = write_tsc_adjust, IF(TSC_ADJUST)},
    {RANGE(MSR_X2APIC_FIRST, MSR_X2APIC_LAST), .read = lapic_read_msr, .write = lapic_write_msr},
    {ONE(MSR_APIC_BASE), .read = lapic_read_msr, .write = lapic_write_msr},
    {ONE(0x10), .pass = PASS_READ, .read = read_tsc, .write = write_tsc, IF(TSC)},

    // In the VMCS.
    {ONE(0xc0000080), .pass = PASS_READ, .groups = STATE_CONTROL, IN(efer), .write = write_efer},
    {ONE(0xc0000100), .pass = PASS_BOTH, .groups = STATE_SEGMENTS, IN(segment[FS].base), LINEAR,
     IF(LM)},
    {ONE(0xc0000101), .pass = PASS_BOTH, .groups = STATE_SEGMENTS, IN(segment[GS].base), LINEAR,
     IF(LM)},
    {ONE(0x174), .pass = PASS_BOTH, .groups = STATE_SYSTEM, IN(sysenter_cs), .writable = UINT32_MAX,
     IF(SEP)},
    // KVM, below us, takes what is not canonical: writes of these two exit.
    {ONE(0x175), .pass = PASS_READ, .groups = STATE_SYSTEM, IN(sysenter_esp), LINEAR, IF(SEP)},
    {ONE(0x176), .pass = PASS_READ, .groups = STATE_SYSTEM, IN(sysenter_eip), LINEAR, IF(SEP)},
    // VirtualBox cannot save it on an exit: writes do exit.
    {ONE(PAT), .pass = PASS_READ, .groups = STATE_SYSTEM, IN(pat), ANY, .accepts = accept_types,
     IF(PAT)},
    {ONE(0x1d9), .groups = STATE_DEBUG, IN(debugctl), .write = write_debugctl},

    // In the CPU's own registers.
    {ONE(0xc0000081), .pass = PASS_BOTH, .groups = STATE_MSR, IN(live.star), ANY, IF(LM)},
    {ONE(0xc0000082), .pass = PASS_BOTH, .groups = STATE_MSR, IN(live.lstar), LINEAR, IF(LM)},
    {ONE(0xc0000083), .pass = PASS_BOTH, .groups = STATE_MSR, IN(live.cstar), LINEAR, IF(LM)},
    {ONE(0xc0000084), .pass = PASS_BOTH, .groups = STATE_MSR, IN(live.fmask),
     .writable = UINT32_MAX, IF(LM)},
    {ONE(0xc0000102), .pass = PASS_BOTH, .groups = STATE_MSR, IN(live.kernel_gs_base), LINEAR,
     IF(LM)},
    {ONE(0xc0000103), .pass = PASS_BOTH, .groups = STATE_MSR, IN(live.tsc_aux),
     .writable = UINT32_MAX, IF(RDTSCP)},
    {ONE(0x48), .groups = STATE_MSR, IN(live.spec_ctrl), ANY, .accepts = accept_spec_ctrl,
     IF(IBRS)},
    {ONE(PRED_CMD), .pass = PASS_WRITE, .write = write_command, .read = refuse_read, IF(IBRS)},
    {ONE(0x10b), .pass = PASS_WRITE, .write = write_command, .read = refuse_read, IF(L1D_FLUSH)},
    // XSAVES without any supervisor component: the register is there and stays zero.
    {ONE(0xda0), .write = write_zero, IF(XSAVES)},

    // In memory only.
    {ONE(0xfe), .constant = MTRR_CAPABILITIES, IF(MTRR)},
    {ONE(MTRR_DEFAULT), IN_MEMORY(mtrr_default), .writable = MTRR_TYPE | MTRR_DEFAULT_ENABLE,
     .accepts = accept_types, IF(MTRR)},
    {RANGE(0x200, 0x200 + 2 * MTRR_VARIABLE - 1), IN(msr.mtrr_variable), ANY,
     .accepts = accept_mtrr_variable, IF(MTRR)},
    {ONE(0x250), IN(msr.mtrr_fixed[0]), ANY, .accepts = accept_types, IF(MTRR)},
    {RANGE(0x258, 0x259), IN(msr.mtrr_fixed[1]), ANY, .accepts = accept_types, IF(MTRR)},
    {RANGE(0x268, 0x26f), IN(msr.mtrr_fixed[3]), ANY, .accepts = accept_types, IF(MTRR)},
    {ONE(0x1a0), IN_MEMORY(misc_enable), .write = write_misc_enable},
    {ONE(0xe1), IN(msr.umwait_control), .writable = UINT32_MAX & ~BIT(1), IF(WAITPKG)},
    {ONE(0x10a), .read = read_arch_capabilities, IF(ARCH_CAP)},

    // The machine that it is.
    {RANGE(0, 1), IF(MCE)}, // P5_MC_ADDR, P5_MC_TYPE: nothing happened
    {ONE(0x17)},            // PLATFORM_ID
    {RANGE(0x1db, 0x1de)},  // last branch, last interruption: never recorded
    // FEATURE_CONTROL: local machine checks; locked
    {ONE(0x3a), .constant = BIT(20) | BIT(0), IF(MCA)},
    {ONE(0x79), .write = ignore_write, .read = refuse_read},                    // BIOS_UPDT_TRIG
    {ONE(0x8b), .constant = UINT64_C(0x7fffffff) << 32, .write = ignore_write}, // BIOS_SIGN_ID
    {ONE(0xce), .read = read_platform_info},
    {ONE(0x179), .constant = MCE_CAPABILITIES, IF(MCA)},
    {ONE(0x17a), IN_MEMORY(mcg_status), .writable = BITS(3, 0), IF(MCA)},
    {ONE(0x17b), IN_MEMORY(mcg_ctl), ANY, .accepts = mce_accepts, IF(MCA)},
    {ONE(0x4d0), IN_MEMORY(mcg_ext_ctl), .writable = BIT(0), IF(MCA)},
    {RANGE(0x400, 0x400 + MCE_BANKS * MCE_REGISTERS - 1), IN(msr.mce), ANY, .accepts = mce_accepts,
     IF(MCA)},

    {ONE(MSR_KVM_SYSTEM_TIME), IN_MEMORY(kvmclock_system), .write = kvmclock_set_system},
    {ONE(MSR_KVM_WALL_CLOCK), IN_MEMORY(kvmclock_wall), .write = kvmclock_set_wall},
    {ONE(MSR_KVM_SYSTEM_TIME_OLD), IN_MEMORY(kvmclock_system), .write = kvmclock_set_system},
    {ONE(MSR_KVM_WALL_CLOCK_OLD), IN_MEMORY(kvmclock_wall), .write = kvmclock_set_wall},
    {ONE(MSR_KVM_STEAL_TIME), IN(msr.kvm_steal), .write = kvmsteal_set, IF(KVM_STEAL_TIME)},
    {ONE(MSR_KVM_PV_EOI), IN(msr.kvm_eoi), .write = write_kvm_eoi, IF(KVM_PV_EOI)},

    {RANGE(0, UINT32_MAX), .read = read_unknown, .write = write_unknown},
};

static void find_direct(struct vcpu *vcpu)
{
    vcpu->msr.direct = true;
    for (const struct msr_row *row = msr_rows; row->width != UINT32_MAX; row++)
        if ((row->direct_read || row->direct_write) && row->feature && !has(vcpu, row->feature))
            vcpu->msr.direct = false;
}

void msr_reset(struct vcpu *vcpu)
{
    vcpu->msr.misc_enable = MISC_ENABLE_FAST_STRINGS | MISC_ENABLE_FIXED;
    vcpu->msr.mtrr_default = MTRR_DEFAULT_ENABLE | MTRR_WRITE_BACK;
    find_direct(vcpu);
    mce_reset(vcpu);
    for (unsigned i = 0; i < MTRR_FIXED; i++)
        vcpu->msr.mtrr_fixed[i] = UINT64_C(0x0606060606060606);
    vcpu->msr.mtrr_fixed[2] = 0; // 259H, A0000H to BFFFFH: uncacheable
}

void msr_loaded(struct vcpu *vcpu)
{
    for (const struct msr_row *row = msr_rows; row->width != UINT32_MAX; row++) {
        uint64_t *value = (uint64_t *)(void *)((char *)vcpu + row->field);
        if (row->groups != STATE_MSR || !row->field)
            continue;
        if (!has(vcpu, row->feature) || (*value & ~row->writable) ||
            (row->accepts && !row->accepts(vcpu, row->first, *value)))
            *value = 0;
    }
    find_direct(vcpu);
}
