// Decoding of segment descriptors. See vm/emulate/descriptor.h.

#include "vm/emulate/descriptor.h"

#define ACCESS_BYTE 5 // of a descriptor: type, S, DPL, P

bool descriptor_read(struct vcpu *vcpu, uint16_t selector, bool is_wide, enum exception outside,
                     uint64_t now, struct descriptor *descriptor, verdict_t *fault)
{
    const struct segment *local = &vcpu->segment[LDTR];
    bool is_local = selector & SELECTOR_LOCAL;
    uint64_t base = is_local ? local->base : vcpu->gdtr.base;
    uint32_t limit = is_local ? local->limit : vcpu->gdtr.limit;
    uint32_t offset = selector & SELECTOR_INDEX;
    unsigned size = is_wide ? 16 : 8;

    if ((is_local && (local->access & AR_UNUSABLE)) || offset + size - 1 > limit)
        return fail_with(fault, fault_code(outside, SELECTOR_ERROR(selector)));
    uint64_t words[2] = {0, 0};
    descriptor->at = gva(base + offset);
    if (!(vcpu->efer & EFER_LMA))
        descriptor->at.value &= UINT32_MAX;
    if (!linear_read(vcpu, descriptor->at, words, size, false, now, fault))
        return false;
    descriptor->low = words[0];
    descriptor->high = words[1];
    return true;
}

struct segment descriptor_segment(uint16_t selector, const struct descriptor *descriptor)
{
    uint64_t low = descriptor->low;
    uint32_t limit = (uint32_t)((low & 0xffff) | (low >> 32 & 0xf0000));
    uint32_t access = descriptor_access(descriptor);
    return (struct segment){
        .selector = selector,
        .base = (low >> 16 & 0xffffff) | (low >> 32 & 0xff000000) | descriptor->high << 32,
        .limit = access & AR_GRANULAR ? limit << 12 | 0xfff : limit,
        .access = access,
    };
}

bool descriptor_mark(struct vcpu *vcpu, struct descriptor *descriptor, uint8_t set, uint8_t clear,
                     uint64_t now, verdict_t *fault)
{
    uint64_t marked = (descriptor->low & ~((uint64_t)clear << 40)) | (uint64_t)set << 40;
    uint8_t byte = (uint8_t)(marked >> 40);
    if (marked == descriptor->low)
        return true;
    if (!linear_write(vcpu, gva(descriptor->at.value + ACCESS_BYTE), &byte, 1, false, now, fault))
        return false;
    descriptor->low = marked;
    return true;
}

static unsigned dpl_of(uint32_t access)
{
    return (unsigned)FIELD_GET(AR_DPL, access);
}

// Whether the segment register takes a descriptor with these access rights. CPL is the new CS's
// RPL.
static bool is_allowed(enum segment_register which, uint16_t selector, uint32_t access,
                       unsigned cpl)
{
    unsigned rpl = selector & SELECTOR_RPL, dpl = dpl_of(access);
    bool is_code = access & TYPE_CODE;
    if (!(access & AR_CODE_DATA))
        return false;
    if (which == CS)
        return is_code && (access & TYPE_CONFORMING ? dpl <= rpl : dpl == rpl);
    if (which == SS)
        return !is_code && (access & TYPE_WRITABLE) && dpl == cpl && rpl == cpl;
    if (is_code && !(access & TYPE_READABLE))
        return false;
    return (is_code && (access & TYPE_CONFORMING)) || (dpl >= rpl && dpl >= cpl);
}

bool descriptor_check(const struct descriptor *descriptor, enum segment_register which,
                      uint16_t selector, unsigned cpl, enum exception wrong, verdict_t *fault)
{
    uint32_t access = descriptor_access(descriptor), error = SELECTOR_ERROR(selector);
    if (!is_allowed(which, selector, access, cpl))
        *fault = fault_code(wrong, error);
    else if (!(access & AR_PRESENT))
        *fault = fault_code(which == SS ? VECTOR_SS : VECTOR_NP, error);
    else
        return true;
    return false;
}

bool descriptor_load(struct vcpu *vcpu, enum segment_register which, uint16_t selector,
                     enum exception wrong, uint64_t now, struct segment *segment, verdict_t *fault)
{
    struct descriptor descriptor;
    if (!descriptor_read(vcpu, selector, false, wrong, now, &descriptor, fault) ||
        !descriptor_check(&descriptor, which, selector, vcpu->cpl, wrong, fault) ||
        !descriptor_mark(vcpu, &descriptor, TYPE_ACCESSED, 0, now, fault))
        return false;
    *segment = descriptor_segment(selector, &descriptor);
    return true;
}
