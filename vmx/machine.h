// The machine half of CPUs, VMs and vCPUs: what VMX needs beside the guest's own state.
#pragma once

#include "arch/x86_64/cpu.h"
#include "lib/spinlock.h"
#include "mm/ept.h"
#include "vm/sched.h"
#include "vm/vm.h"
#include "vmx/choice.h"

enum enter_result {
    ENTER_EXITED = 0,
    ENTER_REQUESTED, // somebody asked for something: not entered
    ENTER_FAILED,    // VMfail: see the VM-instruction error field
};

struct vmx_vcpu;

// One CPU in VMX root operation.
struct vmx_cpu {
    struct cpu *cpu;
    struct vmx_vcpu *running; // chosen by the scheduler, or NULL
    struct vmx_vcpu *current; // whose VMCS is current and whose registers are live, or NULL
    volatile uint32_t wake;   // set by a kick: idle CPUs look around again
    uint64_t idle_cycles;
    volatile uint64_t rounds; // of its loop
    volatile bool asleep;
    uint32_t guards;    // GUARD_ of vmx/speculation.h
    uint32_t spec_ctrl; // what IA32_SPEC_CTRL always holds besides the guest's bits
    uint32_t last_vm;   // the serial of the VM that ran here last
};

extern struct vmx_cpu vmx_cpus[CPUS];

// One VM.
struct vmx_vm {
    struct vm *vm;
    uint32_t serial; // unlike its address, no later VM has it
    struct ept ept;
    uint64_t eptp;
    uint64_t view;                         // CR3 while its vCPUs run: see mm/paging.h
    uint64_t word[CONTROL_WORDS];          // of machine_choice, and what the VM's `trap` adds
    uint8_t *msr_bitmap;                   // one frame
    uint8_t *x2apic_bitmap;                // the same for vCPUs whose x2APIC the CPU virtualizes
    void *apic_access;                     // the APIC-access page, or NULL
    struct spinlock ept_lock;              // guards apic_mapped and changes of `ept`
    bool apic_mapped;                      // apic_access stands at APIC_BASE_DEFAULT
    struct sched_entity *entity[VM_VCPUS]; // of its vCPUs
    struct sched_group group;              // of these
    _Atomic uint32_t running;              // vCPUs that have not left their loops
    bool fails_entry;                      // its first VM entries are made to fail
};

// One vCPU.
struct vmx_vcpu {
    struct vcpu guest;       // first: one pointer serves both halves; HOST_RSP points at it
    uint64_t host_rsp;       // our stack while the guest runs
    int64_t timer_slack;     // root cycles, which the preemption timer does not count, until it is
                             // armed anew
    void (*enter)(void);     // of enter.asm: VMLAUNCH or VMRESUME, guarded where this CPU needs it
    uint32_t guards;         // of `cpu`
    uint32_t spec_ctrl_host; // of `cpu`
    struct vmx_vm *vm;
    void *vmcs;          // one frame
    struct vmx_cpu *cpu; // where it runs or ran last; NULL: nowhere yet
    bool launched;       // since the VMCS was last cleared
    struct sched_entity sched;
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
    uint64_t deadline;         // host TSC for which the preemption timer is armed
    uint64_t slice_end;        // host TSC
    uint32_t timer_slack_full; // `timer_slack` after the timer was armed
    uint64_t ept_generation;   // of vm->ept, when INVEPT was last done for this vCPU
    uint64_t xcr0_host;
};

static inline struct vmx_vcpu *vmx_vcpu(struct vcpu *vcpu)
{
    return (struct vmx_vcpu *)vcpu;
}

// What Corbel uses on this machine. Set at boot, constant afterwards.
extern struct vmx_capabilities machine_capabilities;
extern struct vmx_choice machine_choice;
extern uint64_t host_tsc_hz;

static inline bool machine_uses(enum vmx_feature feature)
{
    return choice_uses(&machine_choice, feature);
}
