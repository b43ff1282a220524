// VM exits: the basic reasons, the facts that a handler is given, and which of them each row of the
// table fetches. SDM: "VMX Basic Exit Reasons", "VM-Exit Information Fields".
#pragma once

#include "vm/address.h"
#include "vm/verdict.h"

// One row for every basic exit reason, unassigned ones included: its number, our name and people's,
// the handler (exits/), and which groups of state and facts are fetched for it. `undefined` is #UD;
// `resume` looks for events and enters again: external interrupts, NMIs and machine checks are the
// host's own, run.c has served them; `unknown` was never asked for, and stops the VM. DELIVERY: an
// exit that may interrupt the delivery of an event, which must then be delivered again.
// clang-format off
#define DELIVERY (FACT_IDT | FACT_LENGTH)
#define EMULATION (STATE_FLOW | STATE_STACK | STATE_CONTROL | STATE_MODE | FACT_QUALIFICATION | DELIVERY)
#define OPERAND (STATE_STACK | STATE_CONTROL | STATE_SEGMENTS | FACT_QUALIFICATION | FACT_INSTRUCTION_INFO)
#define VM_EXITS(EXIT) \
    EXIT(0, EXCEPTION_NMI, "exception or NMI", exception, \
         STATE_FLOW | FACT_INTERRUPTION | FACT_QUALIFICATION | DELIVERY) \
    EXIT(1, EXTERNAL_INTERRUPT, "external interrupt", resume, 0) \
    EXIT(2, TRIPLE_FAULT, "triple fault", triple_fault, 0) \
    EXIT(3, INIT, "INIT signal", unknown, 0) \
    EXIT(4, SIPI, "start-up IPI", unknown, 0) \
    EXIT(5, IO_SMI, "I/O SMI", unknown, 0) \
    EXIT(6, OTHER_SMI, "other SMI", unknown, 0) \
    EXIT(7, INTERRUPT_WINDOW, "interrupt window", resume, 0) \
    EXIT(8, NMI_WINDOW, "NMI window", resume, 0) \
    EXIT(9, TASK_SWITCH, "task switch", task_switch, \
         STATE_FLOW | STATE_STACK | STATE_CONTROL | STATE_SEGMENTS | STATE_DEBUG | FACT_QUALIFICATION | DELIVERY) \
    EXIT(10, CPUID, "CPUID", cpuid, FACT_INSTRUCTION) \
    EXIT(11, GETSEC, "GETSEC", undefined, FACT_INSTRUCTION) \
    EXIT(12, HLT, "HLT", hlt, FACT_INSTRUCTION) \
    EXIT(13, INVD, "INVD", cache, FACT_INSTRUCTION) \
    EXIT(14, INVLPG, "INVLPG", invlpg, FACT_INSTRUCTION) \
    EXIT(15, RDPMC, "RDPMC", rdpmc, FACT_INSTRUCTION) \
    EXIT(16, RDTSC, "RDTSC", rdtsc, FACT_INSTRUCTION | STATE_CONTROL | STATE_MODE) \
    EXIT(17, RSM, "RSM", undefined, FACT_INSTRUCTION) \
    EXIT(18, VMCALL, "VMCALL", vmcall, FACT_INSTRUCTION) \
    EXIT(19, VMCLEAR, "VMCLEAR", undefined, FACT_INSTRUCTION) \
    EXIT(20, VMLAUNCH, "VMLAUNCH", undefined, FACT_INSTRUCTION) \
    EXIT(21, VMPTRLD, "VMPTRLD", undefined, FACT_INSTRUCTION) \
    EXIT(22, VMPTRST, "VMPTRST", undefined, FACT_INSTRUCTION) \
    EXIT(23, VMREAD, "VMREAD", undefined, FACT_INSTRUCTION) \
    EXIT(24, VMRESUME, "VMRESUME", undefined, FACT_INSTRUCTION) \
    EXIT(25, VMWRITE, "VMWRITE", undefined, FACT_INSTRUCTION) \
    EXIT(26, VMXOFF, "VMXOFF", undefined, FACT_INSTRUCTION) \
    EXIT(27, VMXON, "VMXON", undefined, FACT_INSTRUCTION) \
    EXIT(28, CR_ACCESS, "control-register access", cr_access, \
         FACT_INSTRUCTION | STATE_CONTROL | STATE_MODE | FACT_QUALIFICATION) \
    EXIT(29, MOV_DR, "MOV DR", mov_dr, FACT_INSTRUCTION | FACT_QUALIFICATION) \
    EXIT(30, IO, "port I/O", io, FACT_INSTRUCTION | FACT_QUALIFICATION) \
    EXIT(31, RDMSR, "RDMSR", rdmsr, FACT_INSTRUCTION) \
    EXIT(32, WRMSR, "WRMSR", wrmsr, FACT_INSTRUCTION) \
    EXIT(33, ENTRY_GUEST_STATE, "VM entry failed: guest state", entry_failed, FACT_QUALIFICATION) \
    EXIT(34, ENTRY_MSR_LOADING, "VM entry failed: MSR loading", entry_failed, FACT_QUALIFICATION) \
    EXIT(35, 35, "exit reason 35", unknown, 0) \
    EXIT(36, MWAIT, "MWAIT", undefined, FACT_INSTRUCTION) \
    EXIT(37, MONITOR_TRAP, "monitor trap flag", monitor_trap, STATE_FLOW) \
    EXIT(38, 38, "exit reason 38", unknown, 0) \
    EXIT(39, MONITOR, "MONITOR", undefined, FACT_INSTRUCTION) \
    EXIT(40, PAUSE, "PAUSE", pause, FACT_INSTRUCTION) \
    EXIT(41, ENTRY_MACHINE_CHECK, "VM entry failed: machine check", entry_failed, FACT_QUALIFICATION) \
    EXIT(42, 42, "exit reason 42", unknown, 0) \
    EXIT(43, TPR_THRESHOLD, "TPR below threshold", tpr_threshold, STATE_FLOW) \
    EXIT(44, APIC_ACCESS, "APIC access", apic_access, EMULATION) \
    EXIT(45, VIRTUALIZED_EOI, "virtualized EOI", virtualized_eoi, FACT_QUALIFICATION) \
    EXIT(46, GDTR_IDTR, "access to GDTR or IDTR", gdtr_idtr, FACT_INSTRUCTION | OPERAND) \
    EXIT(47, LDTR_TR, "access to LDTR or TR", ldtr_tr, FACT_INSTRUCTION | OPERAND) \
    EXIT(48, EPT_VIOLATION, "EPT violation", ept_violation, EMULATION | FACT_LINEAR | FACT_PHYSICAL) \
    EXIT(49, EPT_MISCONFIGURATION, "EPT misconfiguration", ept_misconfiguration, FACT_PHYSICAL | DELIVERY) \
    EXIT(50, INVEPT, "INVEPT", undefined, FACT_INSTRUCTION) \
    EXIT(51, RDTSCP, "RDTSCP", rdtscp, FACT_INSTRUCTION | STATE_CONTROL | STATE_MODE | STATE_MSR) \
    EXIT(52, PREEMPTION_TIMER, "VMX-preemption timer", resume, 0) \
    EXIT(53, INVVPID, "INVVPID", undefined, FACT_INSTRUCTION) \
    EXIT(54, WBINVD, "WBINVD", cache, FACT_INSTRUCTION) \
    EXIT(55, XSETBV, "XSETBV", xsetbv, FACT_INSTRUCTION | STATE_MODE) \
    EXIT(56, APIC_WRITE, "APIC write", apic_write, STATE_FLOW | FACT_QUALIFICATION) \
    EXIT(57, RDRAND, "RDRAND", random, FACT_INSTRUCTION | STATE_STACK | FACT_INSTRUCTION_INFO | FACT_RANDOM) \
    EXIT(58, INVPCID, "INVPCID", invpcid, FACT_INSTRUCTION | OPERAND) \
    EXIT(59, VMFUNC, "VMFUNC", undefined, FACT_INSTRUCTION) \
    EXIT(60, ENCLS, "ENCLS", undefined, FACT_INSTRUCTION) \
    EXIT(61, RDSEED, "RDSEED", random, FACT_INSTRUCTION | STATE_STACK | FACT_INSTRUCTION_INFO | FACT_RANDOM) \
    EXIT(62, PML_FULL, "page-modification log full", pml_full, STATE_FLOW | FACT_QUALIFICATION | DELIVERY) \
    EXIT(63, XSAVES, "XSAVES", undefined, FACT_INSTRUCTION) \
    EXIT(64, XRSTORS, "XRSTORS", undefined, FACT_INSTRUCTION) \
    EXIT(65, PCONFIG, "PCONFIG", undefined, FACT_INSTRUCTION) \
    EXIT(66, SPP_EVENT, "SPP-related event", unknown, 0) \
    EXIT(67, UMWAIT, "UMWAIT", undefined, FACT_INSTRUCTION) \
    EXIT(68, TPAUSE, "TPAUSE", undefined, FACT_INSTRUCTION) \
    EXIT(69, LOADIWKEY, "LOADIWKEY", undefined, FACT_INSTRUCTION) \
    EXIT(70, ENCLV, "ENCLV", undefined, FACT_INSTRUCTION) \
    EXIT(71, 71, "exit reason 71", unknown, 0) \
    EXIT(72, ENQCMD_PASID, "ENQCMD", undefined, FACT_INSTRUCTION) \
    EXIT(73, ENQCMDS_PASID, "ENQCMDS", undefined, FACT_INSTRUCTION) \
    EXIT(74, BUS_LOCK, "bus lock", resume, DELIVERY) \
    EXIT(75, NOTIFY, "notify window", notify, FACT_QUALIFICATION | DELIVERY) \
    EXIT(76, SEAMCALL, "SEAMCALL", undefined, FACT_INSTRUCTION) \
    EXIT(77, TDCALL, "TDCALL", undefined, FACT_INSTRUCTION)
// clang-format on

#define EXIT_ENUMERATOR(number, name, text, handler, needs) EXIT_##name = (number),
enum exit_reason { VM_EXITS(EXIT_ENUMERATOR) EXIT_REASONS };

// Bits of the exit reason beside the basic one.
#define EXIT_BUS_LOCKED    BIT32(26) // the guest locked the bus; with reason 74, too
#define EXIT_ENTRY_FAILURE BIT32(31)

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
    STATE_BREAKPOINTS = BIT32(13), // it may have breakpoints (vm/cpu/debug.h)
    STATE_STEP = BIT32(14),        // its debugger has it make one instruction (vm/debugger.h)
    STATE_STICKY = STATE_WATCH | STATE_BREAKPOINTS | STATE_STEP,
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
    uint32_t reason; // the basic one; after a failed entry the whole field
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

extern const struct exit_row exit_table[EXIT_REASONS];
