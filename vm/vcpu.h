// A virtual CPU as its handlers see it: registers in groups that are fetched on demand (vm/exit.h),
// events, local APIC. It belongs to the CPU that runs it; others reach only `requests` and the
// posted bits of the local APIC.
#pragma once

#include <stdatomic.h>

#include "vm/address.h"
#include "vm/event.h"
#include "vm/exit.h"
#include "vm/apic/lapic.h"
#include "vm/cpu/msr.h"
#include "vm/stats.h"

enum gpr { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

enum segment_register { ES, CS, SS, DS, FS, GS, LDTR, TR, SEGMENTS };

// Access rights in the VMCS's format. SDM: "Guest Register State", table "Format of Access Rights".
#define AR_TYPE      UINT32_C(0xf)
#define AR_CODE_DATA BIT32(4) // S
#define AR_DPL       UINT32_C(0x60)
#define AR_PRESENT   BIT32(7)
#define AR_LONG      BIT32(13)
#define AR_DB        BIT32(14)
#define AR_GRANULAR  BIT32(15)
#define AR_UNUSABLE  BIT32(16)

struct segment {
    uint64_t base;
    uint32_t limit;
    uint32_t access;
    uint16_t selector;
};

struct table_register { // GDTR, IDTR
    uint64_t base;
    uint32_t limit;
};

#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_AM BIT(18)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)

#define CR4_VME        BIT(0)
#define CR4_PVI        BIT(1)
#define CR4_TSD        BIT(2)
#define CR4_DE         BIT(3)
#define CR4_PSE        BIT(4)
#define CR4_PAE        BIT(5)
#define CR4_MCE        BIT(6)
#define CR4_PGE        BIT(7)
#define CR4_PCE        BIT(8)
#define CR4_OSFXSR     BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_UMIP       BIT(11)
#define CR4_LA57       BIT(12)
#define CR4_VMXE       BIT(13)
#define CR4_SMXE       BIT(14)
#define CR4_FSGSBASE   BIT(16)
#define CR4_PCIDE      BIT(17)
#define CR4_OSXSAVE    BIT(18)
#define CR4_SMEP       BIT(20)
#define CR4_SMAP       BIT(21)
#define CR4_PKE        BIT(22)
#define CR4_CET        BIT(23)
#define CR4_PKS        BIT(24)

#define EFER_SCE BIT(0)
#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)

#define RFLAGS_CF    BIT(0)
#define RFLAGS_FIXED BIT(1)
#define RFLAGS_PF    BIT(2)
#define RFLAGS_AF    BIT(4)
#define RFLAGS_ZF    BIT(6)
#define RFLAGS_SF    BIT(7)
#define RFLAGS_TF    BIT(8)
#define RFLAGS_IF    BIT(9)
#define RFLAGS_DF    BIT(10)
#define RFLAGS_OF    BIT(11)
#define RFLAGS_IOPL  BITS(13, 12)
#define RFLAGS_NT    BIT(14)
#define RFLAGS_RF    BIT(16)
#define RFLAGS_VM    BIT(17)
#define RFLAGS_AC    BIT(18)
#define RFLAGS_VIF   BIT(19)
#define RFLAGS_VIP   BIT(20)
#define RFLAGS_ID    BIT(21)

// Pending debug exceptions. SDM: "Guest Non-Register State".
#define PENDING_DEBUG_BREAKPOINT BIT(12) // one of bits 3:0 was enabled
#define PENDING_DEBUG_BS         BIT(14)

#define DEBUGCTL_LBR BIT(0) // record last branches
#define DEBUGCTL_BTF BIT(1) // single-step on branches

enum activity {
    ACTIVITY_ACTIVE = 0,
    ACTIVITY_HALTED,
    ACTIVITY_WAIT_FOR_SIPI, // in software; the VMCS's own state of that name is never used
    ACTIVITY_STOPPED,       // by its debugger
};

// What other CPUs, devices and the vCPU's own handlers may ask of the loop that runs it, by
// vcpu_request().
enum vcpu_request {
    REQUEST_EVENT = BIT32(0),     // look for something to inject
    REQUEST_TIMER = BIT32(1),     // a deadline of the local APIC or a device changed
    REQUEST_FLUSH_TLB = BIT32(2), // INVVPID for this vCPU
    REQUEST_FLUSH_EPT = BIT32(3), // INVEPT for this VM
    REQUEST_SIGNAL = BIT32(4),    // look at `signals`
    REQUEST_PML = BIT32(5),       // the CPU's list of written pages is full
    REQUEST_DEBUG = BIT32(6),     // what its debugger wants has changed
    REQUEST_SCHEDULE = BIT32(7),  // leave the loop: pause, stop, migrate, or a better one waits
    REQUEST_CLOCK = BIT32(8),     // write the paravirtual clock page anew
    REQUEST_UNHALT = BIT32(9),    // its HLT, or the next one, is over: a kick by hypercall
    REQUEST_PREDICTION_BARRIER = BIT32(10), // an IBPB, for a guest that cannot do it itself
    REQUEST_FLUSH_L1D = BIT32(11),          // likewise
    REQUEST_WATCH = BIT32(12),              // its next exit is watched (vmx/run.c)
    REQUEST_APIC = BIT32(13), // its local APIC's mode or place changed, or whether it accepts
    REQUEST_MACHINE_CHECK = BIT32(14), // memory of its VM broke: mce_post()
};

struct vm;
struct debugged;

struct vcpu {
    uint64_t gpr[16]; // first: enter.asm saves and loads them; gpr[RSP] belongs to STATE_STACK
    _Atomic uint32_t requests;
    uint32_t fetched; // STATE_ groups that are valid here
    uint32_t dirty;   // STATE_ groups that a handler changed

    // STATE_FLOW
    uint64_t interruptibility; // 32 bits: all fields of the group are stored by VMREAD itself
    uint64_t rip;
    uint64_t rflags;

    // STATE_CONTROL: as the guest sees them. CR2 is valid for handlers to set; see `cr2_dirty`.
    uint64_t cr0;
    uint64_t cr3;
    uint64_t cr4;
    uint64_t efer;

    // STATE_SEGMENTS, with segment[] at the end
    struct table_register gdtr;
    struct table_register idtr;
    uint32_t cpl; // also STATE_MODE

    // STATE_DEBUG
    uint64_t dr7;
    uint64_t debugctl;
    uint64_t pending_debug;

    // STATE_SYSTEM
    uint64_t sysenter_cs;
    uint64_t sysenter_esp;
    uint64_t sysenter_eip;
    uint64_t pat;
    uint64_t pdpte[4];

    // STATE_DR
    uint64_t dr[4];
    uint64_t dr6;

    struct msr_live live; // STATE_MSR

    uint64_t cr2; // written to the register before the next entry if cr2_dirty
    uint64_t xcr0;
    uint64_t cr4_mirror; // CR4.OSXSAVE and PKE, which CPUID shows: see vcpu_mirror_cr4()
    bool cr2_dirty;
    bool unhalted;    // the next HLT is over at once
    uint8_t activity; // enum activity
    uint16_t id;      // index in the VM
    uint32_t apic_id;
    _Atomic uint32_t signals; // INIT, SIPI and NMIs sent since it last looked (vm/vcpu.c)
    _Atomic uint32_t callers; // requests that may end its waiting, 0: it does not

    struct vm *vm;
    struct events events;
    struct lapic lapic;
    struct msr_state msr;
    uint64_t tsc_offset;       // guest TSC = host TSC + tsc_offset
    uint64_t stolen;           // nanoseconds that it could run and did not, since the guest asked
    void *fpu;                 // STATE_FPU: the XSAVE image (standard format), 64-byte aligned
    struct watch *watch;       // vm/watch.h; NULL unless `dirty` has STATE_WATCH
    struct debugged *debugged; // vm/debugger.h; NULL: no debugger is attached
    struct mce_error error;    // memory that this exit, a machine check, found broken
    _Atomic uint64_t posted_error; // of vm/cpu/mce.h

    // Arrays of structs come last, without a gap: a test asks the compiler for the padding before.
    _Alignas(32) struct segment segment[SEGMENTS];
    struct exit_stats stats;
};

// Sets request bits and makes the CPU that runs the vCPU look at them soon. Any CPU may call it.
void vcpu_request(struct vcpu *vcpu, uint32_t requests);

// Whether it was asked for something, since it began to wait, that may end that. The others can
// wait as well: what wakes nobody is to cost the vCPU's neighbours nothing. Any CPU may call it.
bool vcpu_is_called(const struct vcpu *vcpu);

// Sets bits in its own loop's request word: no kick. Only the CPU that runs the vCPU may call it.
static inline void vcpu_note(struct vcpu *vcpu, uint32_t requests)
{
    atomic_fetch_or_explicit(&vcpu->requests, requests, memory_order_relaxed);
}

// The register state after power-on or INIT. SDM: "IA-32 and Intel 64 Processor States Following
// Power-up, Reset, or INIT". Groups become valid and dirty; INIT leaves alone those that it keeps:
// STATE_SYSTEM, STATE_XCR0, STATE_FPU, STATE_MSR. Needs STATE_CONTROL if is_init. Afterwards vCPU 0
// is active, the others wait for a SIPI.
void vcpu_reset(struct vcpu *vcpu, bool is_init);

extern const struct field vcpu_fields[]; // vm/vcpu_fields.c

// Writes the vCPU's section (lib/fields.h) to `to`, if it fits in `room` bytes. Returns its length
// in any case. The vCPU does not run, STATE_ALL is fetched, and the guest's memory comes later:
// interrupts that are on their way arrive, and their end may be noted there.
size_t vcpu_save_state(struct vcpu *vcpu, uint8_t *to, size_t room);

// Reads the vCPU's section, and moves the input behind it. Only if `commit` is the vCPU changed:
// the caller has the same bytes looked at before, and afterwards, when memory is there, calls
// vcpu_loaded(), which makes anew what follows from the rest, and of what no CPU would take the
// value after power-on. A register that no VM entry takes ends the VM at its entry. Time goes on
// where it was: the caller moves tsc_offset (and calls lapic_tsc_changed()) if the clock is
// another.
MUST_CHECK status_t vcpu_load_state(struct vcpu *vcpu, struct section_input *input, bool commit,
                                    struct explanation *why);
void vcpu_loaded(struct vcpu *vcpu);

// A start-up IPI: runs from vector * 4 KiB in real mode. Ignored unless it was waited for.
void vcpu_sipi(struct vcpu *vcpu, uint8_t vector);

// Sends a vCPU an INIT, a start-up IPI or an NMI: what it finds when it looks is what it would have
// become, had it taken each at once. Any CPU may call them.
void vcpu_send_init(struct vcpu *vcpu);
void vcpu_send_sipi(struct vcpu *vcpu, uint8_t vector);
void vcpu_send_nmi(struct vcpu *vcpu);

// Turns request bits that the loop has taken into state: machine checks, then signals; other bits
// are ignored. Needs STATE_FLOW and STATE_CONTROL if one of the two is among them.
void vcpu_take_requests(struct vcpu *vcpu, uint32_t requests);

// Keeps the bits of CR4 that CPUID mirrors, so that CPUID needs no VMCS access. Guests cannot
// change them without an exit (vm/cpu/cr.h); whoever else sets vcpu->cr4 calls this after it.
static inline void vcpu_mirror_cr4(struct vcpu *vcpu)
{
    vcpu->cr4_mirror = vcpu->cr4 & (CR4_OSXSAVE | CR4_PKE);
}

// The 64-bit mode of the code segment, given STATE_CONTROL and STATE_MODE.
static inline bool vcpu_in_64bit(const struct vcpu *vcpu)
{
    return (vcpu->efer & EFER_LMA) && (vcpu->segment[CS].access & AR_LONG);
}

// Neither real nor virtual-8086 mode, given STATE_CONTROL and STATE_FLOW.
static inline bool vcpu_is_protected(const struct vcpu *vcpu)
{
    return (vcpu->cr0 & CR0_PE) && !(vcpu->rflags & RFLAGS_VM);
}

// Whether the instruction that was just emulated leaves a step's debug trap. It comes before
// interrupts and NMIs, and a VM entry that injects one would drop it. (Those of breakpoints are
// told by BLOCKING_BY_TRAP: a hypervisor below may keep their bits from before.) SDM: "Delivery of
// Pending Debug Exceptions after VM Entry".
static inline bool vcpu_trap_waits(const struct vcpu *vcpu)
{
    return (vcpu->rflags & RFLAGS_TF) && (vcpu->fetched & STATE_DEBUG) &&
           (vcpu->pending_debug & PENDING_DEBUG_BS);
}

// After an instruction that the CPU itself emulated: STATE_DEBUG is needed to tell. Few step, and
// each of its fields is an exit where Corbel is nested. Needs STATE_FLOW.
static inline bool vcpu_trap_is_unknown(const struct vcpu *vcpu)
{
    return (vcpu->rflags & RFLAGS_TF) && !(vcpu->fetched & STATE_DEBUG);
}

// The instruction in the shadow of STI or MOV SS is over, and the shadow with it. Needs STATE_FLOW.
static inline void vcpu_end_shadow(struct vcpu *vcpu)
{
    if (!(vcpu->interruptibility & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS)))
        return;
    vcpu->interruptibility &= ~(BLOCKING_BY_STI | BLOCKING_BY_MOV_SS);
    vcpu->dirty |= STATE_FLOW;
}

// Raises #PF: sets CR2 (the one thing that a fault verdict changes) and returns the verdict.
static inline verdict_t fault_pf(struct vcpu *vcpu, uint64_t linear, uint32_t error)
{
    vcpu->cr2 = linear;
    vcpu->cr2_dirty = true;
    return fault_code(VECTOR_PF, error);
}

// Whether IA32_APIC_BASE enables the local APIC: CPUID leaf 1 EDX bit 9 mirrors it.
static inline bool lapic_enabled(const struct vcpu *vcpu)
{
    return (__atomic_load_n(&vcpu->lapic.base, __ATOMIC_RELAXED) & APIC_BASE_ENABLE) != 0;
}

// Whether it takes fixed interrupts: one that software has disabled does not.
static inline bool lapic_accepts(const struct vcpu *vcpu)
{
    return (lapic_get(&vcpu->lapic, LAPIC_SVR) & LAPIC_SVR_ENABLE) != 0;
}

static inline bool lapic_in_x2apic(const struct vcpu *vcpu)
{
    return (__atomic_load_n(&vcpu->lapic.base, __ATOMIC_RELAXED) & APIC_BASE_X2APIC) != 0;
}
