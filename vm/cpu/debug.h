// Debug traps of what Corbel does in the guest's place: the CPU sees neither the end of an
// instruction that was emulated nor its accesses. SDM: "Debug Exceptions", "Data Breakpoint and I/O
// Breakpoint Exception Conditions", "Single-Stepping on Branches".
//
// Nobody pays for breakpoints that no guest has: MOV DR exits until a guest executes it, and again
// when an exit finds DR7 without any (vmx/run.c). Between, `dirty` has STATE_BREAKPOINTS.
#pragma once

#include "vm/vcpu.h"

// The groups that debug_data() and debug_port() read and that are not fetched yet.
static inline uint32_t debug_missing(const struct vcpu *vcpu)
{
    uint32_t groups = STATE_CONTROL | STATE_DEBUG | STATE_DR;
    return vcpu->dirty & STATE_BREAKPOINTS ? groups & ~vcpu->fetched : 0;
}

// Whether DR7 enables a breakpoint. Needs STATE_DEBUG.
static inline bool debug_has_breakpoints(const struct vcpu *vcpu)
{
    return (vcpu->dr7 & BITS(7, 0)) != 0;
}

// The breakpoints that an access to `size` bytes of memory, or ports, meets, as pending debug
// exceptions; 0: none.
uint64_t debug_data(const struct vcpu *vcpu, gva_t linear, uint64_t size, bool write);
uint64_t debug_port(const struct vcpu *vcpu, uint64_t port, uint64_t size);

// The instruction, or an iteration of it, is done and has met these: a trap follows it. Needs
// STATE_FLOW and STATE_DEBUG unless it met none.
void debug_trap(struct vcpu *vcpu, uint64_t bits);

// The same for a single step. IA32_DEBUGCTL.BTF keeps it for branches. Needs STATE_FLOW and, with
// RFLAGS.TF, STATE_DEBUG.
void debug_step(struct vcpu *vcpu, bool is_branch);

// A repeated string instruction has iterations left: what comes between them finds RF set, so that
// its breakpoint is not met again. Needs STATE_FLOW.
static inline void debug_hold_string(struct vcpu *vcpu)
{
    vcpu->rflags |= RFLAGS_RF;
    vcpu->dirty |= STATE_FLOW;
}
