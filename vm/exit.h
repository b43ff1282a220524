// VM exits: the basic reasons, the facts that a handler is given, and which of them each row of the
// table fetches. SDM: "VMX Basic Exit Reasons", "VM-Exit Information Fields".
#pragma once

#include "vm/address.h"
#include "vm/verdict.h"

enum exit_reason {
    EXIT_EXCEPTION_NMI = 0,
    EXIT_EXTERNAL_INTERRUPT = 1,
    EXIT_TRIPLE_FAULT = 2,
    EXIT_INIT = 3,
    EXIT_SIPI = 4,
    EXIT_IO_SMI = 5,
    EXIT_OTHER_SMI = 6,
    EXIT_INTERRUPT_WINDOW = 7,
    EXIT_NMI_WINDOW = 8,
    EXIT_TASK_SWITCH = 9,
    EXIT_CPUID = 10,
    EXIT_GETSEC = 11,
    EXIT_HLT = 12,
    EXIT_INVD = 13,
    EXIT_INVLPG = 14,
    EXIT_RDPMC = 15,
    EXIT_RDTSC = 16,
    EXIT_RSM = 17,
    EXIT_VMCALL = 18,
    EXIT_VMCLEAR = 19,
    EXIT_VMLAUNCH = 20,
    EXIT_VMPTRLD = 21,
    EXIT_VMPTRST = 22,
    EXIT_VMREAD = 23,
    EXIT_VMRESUME = 24,
    EXIT_VMWRITE = 25,
    EXIT_VMXOFF = 26,
    EXIT_VMXON = 27,
    EXIT_CR_ACCESS = 28,
    EXIT_MOV_DR = 29,
    EXIT_IO = 30,
    EXIT_RDMSR = 31,
    EXIT_WRMSR = 32,
    EXIT_ENTRY_GUEST_STATE = 33,
    EXIT_ENTRY_MSR_LOADING = 34,
    EXIT_MWAIT = 36,
    EXIT_MONITOR_TRAP = 37,
    EXIT_MONITOR = 39,
    EXIT_PAUSE = 40,
    EXIT_ENTRY_MACHINE_CHECK = 41,
    EXIT_TPR_THRESHOLD = 43,
    EXIT_APIC_ACCESS = 44,
    EXIT_VIRTUALIZED_EOI = 45,
    EXIT_GDTR_IDTR = 46,
    EXIT_LDTR_TR = 47,
    EXIT_EPT_VIOLATION = 48,
    EXIT_EPT_MISCONFIGURATION = 49,
    EXIT_INVEPT = 50,
    EXIT_RDTSCP = 51,
    EXIT_PREEMPTION_TIMER = 52,
    EXIT_INVVPID = 53,
    EXIT_WBINVD = 54,
    EXIT_XSETBV = 55,
    EXIT_APIC_WRITE = 56,
    EXIT_RDRAND = 57,
    EXIT_INVPCID = 58,
    EXIT_VMFUNC = 59,
    EXIT_ENCLS = 60,
    EXIT_RDSEED = 61,
    EXIT_PML_FULL = 62,
    EXIT_XSAVES = 63,
    EXIT_XRSTORS = 64,
    EXIT_PCONFIG = 65,
    EXIT_SPP_EVENT = 66,
    EXIT_UMWAIT = 67,
    EXIT_TPAUSE = 68,
    EXIT_LOADIWKEY = 69,
    EXIT_ENCLV = 70,
    EXIT_ENQCMD_PASID = 72,
    EXIT_ENQCMDS_PASID = 73,
    EXIT_BUS_LOCK = 74,
    EXIT_NOTIFY = 75,
    EXIT_SEAMCALL = 76,
    EXIT_TDCALL = 77,
    EXIT_REASONS = 78,
};

// Whether the manual gives the basic exit reason a meaning.
static inline bool exit_is_defined(uint32_t reason)
{
    return reason < EXIT_REASONS && reason != 35 && reason != 38 && reason != 42 && reason != 71;
}

// Groups of guest state: fetched from the VMCS on demand, written back when dirty. A vCPU's fields
// outside the groups are always valid.
enum state_group {
    STATE_FLOW = BIT32(0),     // rip, rflags, interruptibility
    STATE_STACK = BIT32(1),    // gpr[RSP]
    STATE_CONTROL = BIT32(2),  // cr0, cr3, cr4, efer
    STATE_SEGMENTS = BIT32(3), // segment[], gdtr, idtr, and what STATE_MODE names
    STATE_DEBUG = BIT32(4),    // dr7, debugctl, pending_debug
    STATE_SYSTEM = BIT32(5),   // sysenter_*, pat, pdpte[]
    STATE_MODE = BIT32(6),     // cpl and segment[CS].access alone (read only)
    STATE_XCR0 = BIT32(7),     // xcr0: always valid; dirty when the handler changed it
    STATE_FPU = BIT32(8),      // the XSAVE image: fetched from and written back to the registers
    STATE_DR = BIT32(9),       // dr[0..3], dr6: fetched from and written back to the registers
    STATE_MSR = BIT32(10),     // the passed-through MSRs of struct msr_live: likewise
    STATE_TSC = BIT32(11),     // tsc_offset: always valid; dirty when the handler changed it
    STATE_ALL = BIT32(12) - 1,
    // No state. In `dirty`, where they stay until somebody takes them out:
    STATE_WATCH = BIT32(12),       // this vCPU's exits are noted (vm/watch.h)
    STATE_BREAKPOINTS = BIT32(13), // it may have breakpoints (vm/debug.h)
    STATE_STICKY = STATE_WATCH | STATE_BREAKPOINTS,
};

// Facts of one exit; they share a word with the groups above in a row's `needs`.
enum exit_fact {
    FACT_QUALIFICATION = BIT32(16),
    FACT_INSTRUCTION_INFO = BIT32(17),
    FACT_LINEAR = BIT32(18),       // guest-linear address
    FACT_PHYSICAL = BIT32(19),     // guest-physical address
    FACT_INTERRUPTION = BIT32(20), // interruption information and error code
    FACT_RANDOM = BIT32(21),       // what RDRAND or RDSEED, the one that exited, gives us
    FACT_LENGTH = BIT32(22),       // instruction length, for events that an instruction raised
    FACT_IDT =
        BIT32(23), // IDT-vectoring (fetched for every exit that can happen during event delivery)
    // The guest executed an instruction that exits: it may be stepped over, and STATE_FLOW is
    // fetched.
    FACT_INSTRUCTION = BIT32(24),
};

struct exit {
    uint32_t reason; // the whole field; the basic reason is its low 16 bits
    uint32_t instruction_length;
    uint64_t qualification;
    gva_t linear;
    gpa_t physical;
    uint32_t instruction_info;
    uint32_t interruption_info;
    uint32_t interruption_error;
    uint32_t idt_info;
    uint32_t idt_error;
    uint64_t random;
    bool has_random; // else the CPU had no number at hand
    union {
        uint64_t tsc; // of the host, at the exit; always valid
        struct {
            uint32_t tsc_low, tsc_high; // as RDTSC gives it
        };
    };
};

struct vcpu;

typedef verdict_t exit_handler(struct vcpu *, const struct exit *);

struct exit_row {
    exit_handler *handler;
    uint32_t needs; // STATE_ groups and FACT_ bits
    const char *name;
} __attribute__((aligned(32))); // a power of two: its address is one shift away

// exits/table.c: one row for every basic exit reason, unassigned ones included.
extern const struct exit_row exit_table[EXIT_REASONS];
