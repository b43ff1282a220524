// A debugger's hold on a VM: breakpoints in the guest's memory and in its debug registers, single
// steps, and where each vCPU stopped. Nobody pays for a debugger that is not attached: the vCPU's
// `debugged` is NULL then, and is looked at by the exits that a debugger makes alone.
//
// A breakpoint in memory is an INT3, whose #BP exits; one in a debug register is the CPU's. While
// there are any of those, the registers hold the debugger's and the guest's own are kept here: MOV
// DR exits, and the guest's breakpoints are not met. A step is the monitor trap flag. SDM: "Monitor
// Trap Flag", "Debug Registers".
#pragma once

#include "lib/status.h"
#include "vm/vcpu.h"

#define DEBUGGER_IN_MEMORY    64
#define DEBUGGER_IN_REGISTERS 4

enum debug_stop {
    DEBUG_RUNS,
    DEBUG_HELD,     // another vCPU steps, and this one is to wait
    DEBUG_STEPPED,  // the instruction is done
    DEBUG_SOFTWARE, // at an INT3 of ours, which is not executed
    DEBUG_HARDWARE, // at a breakpoint's instruction, likewise
    DEBUG_WRITE,    // behind an instruction that wrote to watched bytes
    DEBUG_ACCESS,   // or that read or wrote them
};

enum debug_kind { DEBUG_IN_MEMORY, DEBUG_EXECUTE, DEBUG_ON_WRITE, DEBUG_ON_ACCESS };

struct debug_registers {
    uint64_t dr[DEBUGGER_IN_REGISTERS];
    uint64_t dr7;
};

struct debugger;

// One vCPU's part.
struct debugged {
    struct debugger *debugger;
    struct debug_registers guests; // its own, while `is_shadowed`
    bool is_shadowed;
    uint8_t activity;     // what it was before it stopped
    _Atomic uint8_t stop; // enum debug_stop
    uint64_t address;     // of the watched bytes that it met
    uint64_t step_from;   // RIP
};

struct debugger {
    struct vm *vm; // NULL: not attached
    struct {
        bool is_set;
        uint8_t byte; // that the INT3 stands for
        gpa_t at;
        uint64_t linear;
    } in_memory[DEBUGGER_IN_MEMORY];
    struct debug_registers hardware;
    struct debugged vcpu[64];
};

// All of these while the VM stands still with all state fetched (monitor_host.hold).

// Takes the VM, which no other debugger has: nothing is set, and all vCPUs go on with it. Lets it
// go again: breakpoints are taken out, vCPUs go on.
void debugger_attach(struct debugger *debugger, struct vm *vm);
void debugger_detach(struct debugger *debugger);

// Whether it is attached to this VM: another one may stand where it was.
bool debugger_has(const struct debugger *debugger, const struct vm *vm);

// A breakpoint at linear addresses of the vCPU, of 1, 2, 4 or 8 aligned bytes; one that is there
// already is left. STATUS_INVALID: not such bytes. STATUS_NOT_FOUND: no RAM is mapped there.
// STATUS_FULL: there are too many. And its removal; STATUS_NOT_FOUND: there is none.
MUST_CHECK status_t debugger_insert(struct debugger *debugger, struct vcpu *vcpu,
                                    enum debug_kind kind, uint64_t linear, uint64_t length);
MUST_CHECK status_t debugger_remove(struct debugger *debugger, enum debug_kind kind,
                                    uint64_t linear, uint64_t length);
void debugger_remove_all(struct debugger *debugger);

// Copies guest memory at linear addresses of the vCPU, as if no breakpoint were in it. Returns how
// many bytes: up to the first that is no RAM.
uint64_t debugger_read(const struct debugger *debugger, struct vcpu *vcpu, uint64_t linear,
                       uint8_t *bytes, uint64_t length);
uint64_t debugger_write(struct debugger *debugger, struct vcpu *vcpu, uint64_t linear,
                        const uint8_t *bytes, uint64_t length);

// What a vCPU does when the VM goes on: it runs, makes one instruction, or waits.
enum debug_go { DEBUG_RUN, DEBUG_STEP, DEBUG_WAIT };
void debugger_go(struct vcpu *vcpu, enum debug_go go);

// ---- the vCPU's own exits ----

// Its debug registers as the guest knows them. Needs STATE_DEBUG and STATE_DR.
static inline uint64_t *debugged_dr(struct vcpu *vcpu, unsigned number)
{
    bool is_shadowed = vcpu->debugged && vcpu->debugged->is_shadowed;
    if (number == 7)
        return is_shadowed ? &vcpu->debugged->guests.dr7 : &vcpu->dr7;
    return is_shadowed ? &vcpu->debugged->guests.dr[number] : &vcpu->dr[number];
}

// An INT3, a #DB with DR6's bits, or a monitor trap: the debugger's? Then the vCPU stops. Needs
// DEBUGGED_GROUPS if it is debugged.
#define DEBUGGED_GROUPS                                                                            \
    (STATE_FLOW | STATE_CONTROL | STATE_SEGMENTS | STATE_MODE | STATE_SYSTEM | STATE_FPU |         \
     STATE_DEBUG | STATE_DR)
MUST_CHECK bool debugged_int3(struct vcpu *vcpu);
MUST_CHECK bool debugged_db(struct vcpu *vcpu, uint64_t met);
void debugged_trap(struct vcpu *vcpu);

// Before each entry of a vCPU that steps (STATE_STEP): what exited is done, or no interrupt comes
// before it is. Needs STATE_FLOW.
void debugged_step(struct vcpu *vcpu, bool has_exited);

// It was reset: its registers are the guest's again, and are taken again.
void debugged_reset(struct vcpu *vcpu);
