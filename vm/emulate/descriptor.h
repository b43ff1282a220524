// Segment descriptors in the guest's GDT and LDT: read, decoded, and marked. For instructions that
// load segments in software. The guest's state that vm/emulate/linear.h needs must be there. SDM:
// "Segment Descriptors", "System Descriptor Types".
#pragma once

#include "vm/emulate/linear.h"

struct descriptor {
    gva_t at;
    uint64_t low;
    uint64_t high; // system descriptors in IA-32e mode: bits 63:32 of the base in its low half
};

#define SELECTOR_RPL   3
#define SELECTOR_LOCAL 4 // in the LDT
#define SELECTOR_INDEX 0xfff8
// An exception's error code for a selector.
#define SELECTOR_ERROR(selector) ((uint32_t)(selector)&0xfffc)

// Types of system descriptors, in their access rights.
#define TYPE_TSS16_AVAILABLE 1
#define TYPE_LDT             2
#define TYPE_TSS_BUSY        2 // the bit that makes an available TSS a busy one
#define TYPE_TSS32_AVAILABLE 9

// Reads the descriptor that a selector names; `is_wide`: 16 bytes. False: *fault is what reading it
// raised, or `outside` with the selector if it lies beyond the table's limit or in an LDT that is
// not there.
MUST_CHECK bool descriptor_read(struct vcpu *vcpu, uint16_t selector, bool is_wide,
                                enum exception outside, uint64_t now, struct descriptor *descriptor,
                                verdict_t *fault);

// Whether CS, SS or a data segment register takes it, under a selector that is not null. For CS the
// selector's RPL is the CPL to be. False: *fault is `wrong`, #NP or #SS with the selector.
MUST_CHECK bool descriptor_check(const struct descriptor *descriptor, enum segment_register which,
                                 uint16_t selector, unsigned cpl, enum exception wrong,
                                 verdict_t *fault);

// Reads the descriptor, checks it, marks it as accessed: *segment is what the register gets.
MUST_CHECK bool descriptor_load(struct vcpu *vcpu, enum segment_register which, uint16_t selector,
                                enum exception wrong, uint64_t now, struct segment *segment,
                                verdict_t *fault);

// The segment that it describes, as the VMCS wants it.
struct segment descriptor_segment(uint16_t selector, const struct descriptor *descriptor);

static inline uint32_t descriptor_access(const struct descriptor *descriptor)
{
    return (uint32_t)(descriptor->low >> 40) & 0xf0ff;
}

// Sets and clears bits of its type in memory. False: *fault says why not.
MUST_CHECK bool descriptor_mark(struct vcpu *vcpu, struct descriptor *descriptor, uint8_t set,
                                uint8_t clear, uint64_t now, verdict_t *fault);
