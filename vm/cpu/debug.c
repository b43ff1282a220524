// Breakpoints and single steps of emulated instructions. See vm/cpu/debug.h.

#include "vm/cpu/debug.h"

enum breakpoint_kind { BREAK_EXECUTE, BREAK_WRITE, BREAK_PORT, BREAK_ACCESS }; // DR7.R/Wn

#define BREAKPOINTS 4

static unsigned kind_of(const struct vcpu *vcpu, unsigned i)
{
    return (unsigned)(vcpu->dr7 >> (16 + 4 * i)) & 3;
}

// DR7.LENn. Bits of the address below it do not count.
static uint64_t length_of(const struct vcpu *vcpu, unsigned i)
{
    static const uint8_t length[4] = {1, 2, 8, 4};
    return length[vcpu->dr7 >> (18 + 4 * i) & 3];
}

static uint64_t met(const struct vcpu *vcpu, uint64_t address, uint64_t size, uint32_t kinds)
{
    uint64_t bits = 0;
    if (!(vcpu->dirty & STATE_BREAKPOINTS))
        return 0;
    for (unsigned i = 0; i < BREAKPOINTS; i++) {
        uint64_t length = length_of(vcpu, i), first = vcpu->dr[i] & ~(length - 1);
        bool is_enabled = vcpu->dr7 >> (2 * i) & 3;
        bool overlaps = address - first < length || first - address < size;
        if (is_enabled && (kinds & BIT32(kind_of(vcpu, i))) && overlaps)
            bits |= BIT(i) | PENDING_DEBUG_BREAKPOINT;
    }
    return bits;
}

uint64_t debug_data(const struct vcpu *vcpu, gva_t linear, uint64_t size, bool write)
{
    return met(vcpu, linear.value, size, BIT32(BREAK_ACCESS) | (write ? BIT32(BREAK_WRITE) : 0));
}

uint64_t debug_port(const struct vcpu *vcpu, uint64_t port, uint64_t size)
{
    return vcpu->cr4 & CR4_DE ? met(vcpu, port, size, BIT32(BREAK_PORT)) : 0;
}

void debug_trap(struct vcpu *vcpu, uint64_t bits)
{
    if (!bits)
        return;
    vcpu->pending_debug |= bits;
    vcpu->interruptibility |= BLOCKING_BY_TRAP;
    vcpu->dirty |= STATE_FLOW | STATE_DEBUG;
}

void debug_step(struct vcpu *vcpu, bool is_branch)
{
    if ((vcpu->rflags & RFLAGS_TF) && (is_branch || !(vcpu->debugctl & DEBUGCTL_BTF)))
        debug_trap(vcpu, PENDING_DEBUG_BS);
}
