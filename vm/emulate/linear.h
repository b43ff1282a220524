// Guest memory as the guest's own instructions see it: segment and offset to linear address, linear
// address to bytes, with every fault that the CPU would raise. RAM is reached through vm/gmem.h,
// the rest goes to the VM's devices.
//
// All of it needs STATE_CONTROL, STATE_FLOW and STATE_MODE; outside 64-bit mode STATE_SEGMENTS, and
// in some paging modes more: begin with
//     uint32_t missing = linear_missing(vcpu);
//     if (missing)
//         return need(missing);
#pragma once

#include "vm/emulate/walk.h"

// The groups of state that the functions below read and that are not fetched yet.
static inline uint32_t linear_missing(const struct vcpu *vcpu)
{
    uint32_t missing = walk_missing(vcpu);
    if (!(missing & (STATE_CONTROL | STATE_MODE)) && !vcpu_in_64bit(vcpu))
        missing |= STATE_SEGMENTS & ~vcpu->fetched;
    return missing;
}

// Types of code and data segments, in their access rights.
#define TYPE_ACCESSED    1
#define TYPE_WRITABLE    2 // of data
#define TYPE_READABLE    2 // of code
#define TYPE_EXPAND_DOWN 4 // of data
#define TYPE_CONFORMING  4 // of code
#define TYPE_CODE        8

// The width of the code segment: 16, 32 or 64 bits; and of its stack: 2, 4 or 8 bytes.
unsigned code_bits(const struct vcpu *vcpu);
unsigned stack_size(const struct vcpu *vcpu);

// The linear address of `size` (at least 1) bytes at segment:offset, after the checks of limit,
// type, direction and canonical form that a data access makes. `offset` is already cut to the
// address size. False: *fault is #GP(0), or #SS(0) for SS.
MUST_CHECK bool segment_linear(const struct vcpu *vcpu, enum segment_register segment,
                               uint64_t offset, unsigned size, bool write, gva_t *linear,
                               verdict_t *fault);

// Whether it is, for the paging mode. SDM: "Canonical Addressing".
bool linear_is_canonical(const struct vcpu *vcpu, uint64_t address);

// A range of linear addresses, translated and ready: it can be read and written without any further
// fault.
struct linear_span {
    unsigned size;
    unsigned parts; // one for each page
    struct linear_part {
        gpa_t physical;
        const uint8_t *ram; // or ROM that is only read; NULL: a device's
        unsigned length;
        struct walk walk;
    } part[2];
};

// Translates `size` (1 to 4096) bytes at `linear` for `access` (WALK_ bits of vm/emulate/walk.h).
// Changes nothing but, on #PF, CR2: several ranges can be prepared before any of them is touched.
// False: *fault says why.
MUST_CHECK bool linear_prepare(struct vcpu *vcpu, gva_t linear, unsigned size, uint32_t access,
                               struct linear_span *span, verdict_t *fault);

// Sets the accessed and dirty flags of a prepared range; before its first read or write. False: the
// guest changed its paging structures meanwhile; *fault is again().
MUST_CHECK bool linear_mark(const struct vcpu *vcpu, const struct linear_span *span,
                            verdict_t *fault);

// Moves the bytes of a prepared range. Devices see pieces of 1, 2, 4 or 8 bytes.
void linear_load(struct vcpu *vcpu, const struct linear_span *span, void *to, uint64_t now);
void linear_store(struct vcpu *vcpu, const struct linear_span *span, const void *from,
                  uint64_t now);

// All of the above in one: prepare, mark, move. `user`: with user-mode rights (an instruction's own
// access at CPL 3); otherwise a supervisor's, and at CPL 3 that means an implicit access to a
// system structure. False: *fault is what the handler returns, and nothing but CR2 has changed.
MUST_CHECK bool linear_read(struct vcpu *vcpu, gva_t from, void *to, unsigned size, bool user,
                            uint64_t now, verdict_t *fault);
MUST_CHECK bool linear_write(struct vcpu *vcpu, gva_t to, const void *from, unsigned size,
                             bool user, uint64_t now, verdict_t *fault);

#define INSTRUCTION_MAX 15 // bytes

// Fetches instruction bytes at CS:RIP into bytes[*count] and on, up to the end of a page or 15 in
// all, and adds to *count. Call it with *count 0, and again only if the decoder wants more: a fault
// on bytes that the instruction does not have must not happen. False: *fault is what the fetch of
// byte *count raises.
MUST_CHECK bool linear_fetch(struct vcpu *vcpu, uint8_t bytes[INSTRUCTION_MAX], unsigned *count,
                             verdict_t *fault);

// ---- a look that leaves the guest as it was: for operators ----

// Translates an address with a kernel's or a user's rights. False: it has no translation.
bool linear_peek(struct vcpu *vcpu, uint64_t linear, gpa_t *physical);

// Copies the bytes at CS:RIP, up to `size`, from RAM. Returns how many there are.
unsigned linear_peek_code(struct vcpu *vcpu, uint8_t *bytes, unsigned size);
