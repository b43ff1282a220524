// CPUs, VMs and vCPUs as VMX sees them: what it needs beside the guest's own state.
#pragma once

#include "arch/x86_64/cpu.h"
#include "lib/spinlock.h"
#include "mm/tables/dirty_log.h"
#include "vm/cpu/cr.h"
#include "vm/sched/sched.h"
#include "vmx/policy/vmcs_config.h"

enum enter_result {
    ENTER_EXITED = 0,
    ENTER_REQUESTED, // somebody asked for something: not entered
    ENTER_FAILED,    // VMfail: see the VM-instruction error field
};

struct vmx_vcpu;
struct task;

// How a CPU comes to serve a local APIC's deadline.
enum lead { LEAD_RUNNING, LEAD_ASLEEP, LEADS };

// One CPU in VMX root operation.
struct vmx_cpu {
    struct cpu *cpu;
    struct vmx_vcpu *running; // chosen by the scheduler, or NULL
    struct task *task;        // with a stack of its own, while it runs; or NULL
    struct vmx_vcpu *current; // whose VMCS is current and whose registers are live, or NULL
    volatile uint32_t wake;   // set by a kick: idle CPUs look around again
    uint64_t idle_cycles;
    volatile uint64_t rounds; // of its loop
    volatile bool is_asleep;
    bool has_slept;       // since it last ran a vCPU
    uint32_t lead[LEADS]; // host TSC that it takes from a deadline's exit or interrupt to the entry
    uint32_t mitigations; // MITIGATION_ of vmx/policy/speculation.h
    uint32_t spec_ctrl;   // what IA32_SPEC_CTRL always holds besides the guest's bits
    uint32_t last_vm;     // the serial of the VM that ran here last
    struct vmx_capabilities capabilities;
};

extern struct vmx_cpu vmx_cpus[CPUS];

// One VM.
struct vmx_vm {
    struct vm *vm;
    uint32_t serial; // unlike its address, no later VM has it
    struct page_table ept;
    uint64_t eptp;
    uint64_t view;                         // CR3 while its vCPUs run: see mm/paging.h
    uint64_t word[CONTROL_WORDS];          // of host_vmcs_config, by its CPUID and `trap`
    uint8_t *msr_bitmap;                   // one frame
    uint8_t *x2apic_bitmap;                // the same for vCPUs whose x2APIC the CPU virtualizes
    void *apic_access;                     // the APIC-access page, or NULL
    struct spinlock ept_lock;              // guards apic_mapped, `leaving`, changes of `ept`
    struct dirty_log log;                  // of written pages (vmx/ram.h)
    _Atomic bool restores;                 // there is work left of an end of the log
    struct ram_leaving *leaving;           // of vmx/ram_pages.c; NULL: its RAM stays
    bool apic_mapped;                      // apic_access stands at APIC_BASE_DEFAULT
    struct sched_entity *entity[VM_VCPUS]; // of its vCPUs
    struct sched_group group;              // of these
    _Atomic uint32_t running;              // vCPUs that have not left their loops
    bool fails_entry;                      // its first VM entries are made to fail
};

// One vCPU.
struct vmx_vcpu {
    struct vcpu guest; // first: one pointer serves both halves; HOST_RSP points at it
    uint64_t host_rsp; // our stack while the guest runs
    // Cycles in root, which the preemption timer does not count, until it is armed anew.
    int64_t timer_slack;
    void (*enter)(void);  // of enter.asm: VMLAUNCH or VMRESUME, mitigated where this CPU needs it
    uint32_t mitigations; // of `cpu`
    uint32_t spec_ctrl_host; // of `cpu`
    struct vmx_vm *vm;
    void *vmcs;          // one frame
    struct vmx_cpu *cpu; // where it runs or ran last; NULL: nowhere yet
    bool launched;       // since the VMCS was last cleared
    struct sched_entity sched;
    uint64_t waited;     // of sched.waited, what guest.stolen has in it
    bool park;           // of vmx/loop.c: to be parked when it stops
    uint32_t yield_to;   // of RUN_YIELD: 1 + the id of the vCPU to run instead; 0: any of its VM
    bool left;           // its VM ended and it has left for good
    bool checked;        // its first entry went through the VM-entry checker
    _Atomic bool loaded; // its VMCS is current on `cpu` and its registers are live there
    uint16_t vpid;
    uint32_t primary;       // as last written
    bool virtual_delivery;  // the CPU delivers the local APIC's interrupts (vmx/apicv.h)
    uint64_t apic_controls; // secondary controls for its local APIC's mode, as last written
    uint64_t eoi_exits[4];  // EOI-exit bitmap, as last written
    uint8_t tpr_threshold;  // as last written
    uint32_t timer_rate;
    uint64_t deadline;               // host TSC for which the preemption timer is armed
    uint64_t slice_end;              // host TSC
    uint64_t hold;                   // host TSC before which the guest is not to be entered, or 0
    enum lead lead;                  // that `hold` came of, or LEADS: nothing is learnt from it
    uint64_t slice_least;            // host TSC: it is not interrupted for another vCPU before
    uint32_t timer_slack_full;       // `timer_slack` after the timer was armed
    _Atomic uint64_t ept_generation; // of vm->ept, when INVEPT was last done for this vCPU
    _Atomic uint64_t *pml;           // what the CPU lists for the log, one frame; or NULL
    uint64_t xcr0_host;
};

static inline struct vmx_vcpu *vmx_vcpu(struct vcpu *vcpu)
{
    return (struct vmx_vcpu *)vcpu;
}

// What Corbel uses on this machine. Set at boot, constant afterwards.
extern struct vmx_capabilities host_capabilities;
extern struct vmcs_config host_vmcs_config;
extern uint64_t host_tsc_hz;

static inline bool vmx_uses(enum vmx_feature feature)
{
    return vmcs_config_uses(&host_vmcs_config, feature);
}

// The guest/host mask of CR0. No CPU lets ET be cleared; KVM, below us, lets a guest see it clear.
static inline uint64_t vmx_cr0_owned(void)
{
    return CR0_OWNED | (host_capabilities.raw.hypervisor ? CR0_ET : 0);
}
