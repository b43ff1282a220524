// What happens on each VM exit: one row for every basic exit reason, unassigned ones included.
// run.c looks the row up, fetches what `needs` names, calls the handler and applies its verdict.
// External interrupts, NMIs and machine checks are the host's own: run.c serves them before it
// comes here, and their rows only resume. SDM: "VMX Basic Exit Reasons".

#include "exits/handlers.h"

// An exit that may interrupt the delivery of an event, which must then be delivered again.
#define DELIVERY (FACT_IDT | FACT_LENGTH)

#define INSTRUCTION(function, facts, text)                                                         \
    {                                                                                              \
        function, FACT_INSTRUCTION | (facts), text                                                 \
    }
#define REFUSED(text)                                                                              \
    {                                                                                              \
        exit_undefined, FACT_INSTRUCTION, text                                                     \
    }
#define UNUSED(text)                                                                               \
    {                                                                                              \
        exit_unknown, 0, text                                                                      \
    }

const struct exit_row exit_table[] = {
    [EXIT_EXCEPTION_NMI] = {exit_exception,
                            STATE_FLOW | FACT_INTERRUPTION | FACT_QUALIFICATION | DELIVERY,
                            "exception or NMI"},
    [EXIT_EXTERNAL_INTERRUPT] = {exit_resume, 0, "external interrupt"},
    [EXIT_TRIPLE_FAULT] = {exit_triple_fault, 0, "triple fault"},
    [EXIT_INIT] = UNUSED("INIT signal"),
    [EXIT_SIPI] = UNUSED("start-up IPI"),
    [EXIT_IO_SMI] = UNUSED("I/O SMI"),
    [EXIT_OTHER_SMI] = UNUSED("other SMI"),
    [EXIT_INTERRUPT_WINDOW] = {exit_resume, 0, "interrupt window"},
    [EXIT_NMI_WINDOW] = {exit_resume, 0, "NMI window"},
    [EXIT_TASK_SWITCH] = {exit_task_switch,
                          STATE_FLOW | STATE_STACK | STATE_CONTROL | STATE_SEGMENTS | STATE_DEBUG |
                              FACT_QUALIFICATION | DELIVERY,
                          "task switch"},
    [EXIT_CPUID] = INSTRUCTION(exit_cpuid, 0, "CPUID"),
    [EXIT_GETSEC] = REFUSED("GETSEC"),
    [EXIT_HLT] = INSTRUCTION(exit_hlt, 0, "HLT"),
    [EXIT_INVD] = INSTRUCTION(exit_cache, 0, "INVD"),
    [EXIT_INVLPG] = INSTRUCTION(exit_invlpg, 0, "INVLPG"),
    [EXIT_RDPMC] = INSTRUCTION(exit_rdpmc, 0, "RDPMC"),
    [EXIT_RDTSC] = INSTRUCTION(exit_rdtsc, STATE_CONTROL | STATE_MODE, "RDTSC"),
    [EXIT_RSM] = REFUSED("RSM"),
    [EXIT_VMCALL] = INSTRUCTION(exit_vmcall, 0, "VMCALL"),
    [EXIT_VMCLEAR] = REFUSED("VMCLEAR"),
    [EXIT_VMLAUNCH] = REFUSED("VMLAUNCH"),
    [EXIT_VMPTRLD] = REFUSED("VMPTRLD"),
    [EXIT_VMPTRST] = REFUSED("VMPTRST"),
    [EXIT_VMREAD] = REFUSED("VMREAD"),
    [EXIT_VMRESUME] = REFUSED("VMRESUME"),
    [EXIT_VMWRITE] = REFUSED("VMWRITE"),
    [EXIT_VMXOFF] = REFUSED("VMXOFF"),
    [EXIT_VMXON] = REFUSED("VMXON"),
    [EXIT_CR_ACCESS] = INSTRUCTION(exit_cr_access, STATE_CONTROL | STATE_MODE | FACT_QUALIFICATION,
                                   "control-register access"),
    [EXIT_MOV_DR] = INSTRUCTION(exit_mov_dr, FACT_QUALIFICATION, "MOV DR"),
    [EXIT_IO] = INSTRUCTION(exit_io, FACT_QUALIFICATION, "port I/O"),
    [EXIT_RDMSR] = INSTRUCTION(exit_rdmsr, 0, "RDMSR"),
    [EXIT_WRMSR] = INSTRUCTION(exit_wrmsr, 0, "WRMSR"),
    [EXIT_ENTRY_GUEST_STATE] = {exit_entry_failed, FACT_QUALIFICATION,
                                "VM entry failed: guest state"},
    [EXIT_ENTRY_MSR_LOADING] = {exit_entry_failed, FACT_QUALIFICATION,
                                "VM entry failed: MSR loading"},
    [35] = UNUSED("exit reason 35"),
    [EXIT_MWAIT] = REFUSED("MWAIT"),
    [EXIT_MONITOR_TRAP] = {exit_resume, 0, "monitor trap flag"},
    [38] = UNUSED("exit reason 38"),
    [EXIT_MONITOR] = REFUSED("MONITOR"),
    [EXIT_PAUSE] = INSTRUCTION(exit_pause, 0, "PAUSE"),
    [EXIT_ENTRY_MACHINE_CHECK] = {exit_entry_failed, FACT_QUALIFICATION,
                                  "VM entry failed: machine check"},
    [42] = UNUSED("exit reason 42"),
    [EXIT_TPR_THRESHOLD] = {exit_tpr_threshold, STATE_FLOW, "TPR below threshold"},
    [EXIT_APIC_ACCESS] = {exit_apic_access,
                          STATE_FLOW | STATE_STACK | STATE_CONTROL | STATE_MODE |
                              FACT_QUALIFICATION | DELIVERY,
                          "APIC access"},
    [EXIT_VIRTUALIZED_EOI] = {exit_virtualized_eoi, FACT_QUALIFICATION, "virtualized EOI"},
    [EXIT_GDTR_IDTR] = INSTRUCTION(exit_gdtr_idtr,
                                   STATE_STACK | STATE_CONTROL | STATE_SEGMENTS |
                                       FACT_QUALIFICATION | FACT_INSTRUCTION_INFO,
                                   "access to GDTR or IDTR"),
    [EXIT_LDTR_TR] = INSTRUCTION(exit_ldtr_tr,
                                 STATE_STACK | STATE_CONTROL | STATE_SEGMENTS | FACT_QUALIFICATION |
                                     FACT_INSTRUCTION_INFO,
                                 "access to LDTR or TR"),
    [EXIT_EPT_VIOLATION] = {exit_ept_violation,
                            STATE_FLOW | STATE_STACK | STATE_CONTROL | STATE_MODE |
                                FACT_QUALIFICATION | FACT_LINEAR | FACT_PHYSICAL | DELIVERY,
                            "EPT violation"},
    [EXIT_EPT_MISCONFIGURATION] = {exit_ept_misconfiguration, FACT_PHYSICAL | DELIVERY,
                                   "EPT misconfiguration"},
    [EXIT_INVEPT] = REFUSED("INVEPT"),
    [EXIT_RDTSCP] = INSTRUCTION(exit_rdtscp, STATE_CONTROL | STATE_MODE | STATE_MSR, "RDTSCP"),
    [EXIT_PREEMPTION_TIMER] = {exit_resume, 0, "VMX-preemption timer"},
    [EXIT_INVVPID] = REFUSED("INVVPID"),
    [EXIT_WBINVD] = INSTRUCTION(exit_cache, 0, "WBINVD"),
    [EXIT_XSETBV] = INSTRUCTION(exit_xsetbv, STATE_MODE, "XSETBV"),
    [EXIT_APIC_WRITE] = {exit_apic_write, STATE_FLOW | FACT_QUALIFICATION, "APIC write"},
    [EXIT_RDRAND] =
        INSTRUCTION(exit_random, STATE_STACK | FACT_INSTRUCTION_INFO | FACT_RANDOM, "RDRAND"),
    [EXIT_INVPCID] = INSTRUCTION(exit_invpcid,
                                 STATE_STACK | STATE_CONTROL | STATE_SEGMENTS | FACT_QUALIFICATION |
                                     FACT_INSTRUCTION_INFO,
                                 "INVPCID"),
    [EXIT_VMFUNC] = REFUSED("VMFUNC"),
    [EXIT_ENCLS] = REFUSED("ENCLS"),
    [EXIT_RDSEED] =
        INSTRUCTION(exit_random, STATE_STACK | FACT_INSTRUCTION_INFO | FACT_RANDOM, "RDSEED"),
    [EXIT_PML_FULL] = UNUSED("page-modification log full"),
    [EXIT_XSAVES] = REFUSED("XSAVES"),
    [EXIT_XRSTORS] = REFUSED("XRSTORS"),
    [EXIT_PCONFIG] = REFUSED("PCONFIG"),
    [EXIT_SPP_EVENT] = UNUSED("SPP-related event"),
    [EXIT_UMWAIT] = REFUSED("UMWAIT"),
    [EXIT_TPAUSE] = REFUSED("TPAUSE"),
    [EXIT_LOADIWKEY] = REFUSED("LOADIWKEY"),
    [EXIT_ENCLV] = REFUSED("ENCLV"),
    [71] = UNUSED("exit reason 71"),
    [EXIT_ENQCMD_PASID] = REFUSED("ENQCMD"),
    [EXIT_ENQCMDS_PASID] = REFUSED("ENQCMDS"),
    [EXIT_BUS_LOCK] = {exit_resume, 0, "bus lock"},
    [EXIT_NOTIFY] = {exit_notify, FACT_QUALIFICATION, "notify window"},
    [EXIT_SEAMCALL] = REFUSED("SEAMCALL"),
    [EXIT_TDCALL] = REFUSED("TDCALL"),
};
_Static_assert(sizeof(exit_table) == EXIT_REASONS * sizeof(exit_table[0]),
               "a row for every basic exit reason");
