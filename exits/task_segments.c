// Loading the segments of a new task. The rules differ from those of MOV and far transfers: a wrong
// selector is #TS. SDM: "Exception Conditions Checked During a Task Switch".

#include "exits/task_segments.h"

#define VM86_ACCESS (AR_PRESENT | AR_DPL | AR_CODE_DATA | TYPE_WRITABLE | TYPE_ACCESSED)

static bool refuse(verdict_t *fault, enum exception vector, uint16_t selector)
{
    return fail_with(fault, fault_code(vector, SELECTOR_ERROR(selector)));
}

static bool load_ldt(struct vcpu *vcpu, uint16_t selector, uint64_t now, verdict_t *fault)
{
    struct descriptor descriptor;
    if (!(selector & ~SELECTOR_RPL))
        return true;
    if (selector & SELECTOR_LOCAL)
        return refuse(fault, VECTOR_TS, selector);
    if (!descriptor_read(vcpu, selector, false, VECTOR_TS, now, &descriptor, fault))
        return false;
    uint32_t access = descriptor_access(&descriptor);
    if ((access & (AR_TYPE | AR_CODE_DATA)) != TYPE_LDT || !(access & AR_PRESENT))
        return refuse(fault, VECTOR_TS, selector);
    vcpu->segment[LDTR] = descriptor_segment(selector, &descriptor);
    return true;
}

static bool load_segment(struct vcpu *vcpu, enum segment_register which, uint16_t selector,
                         uint64_t now, verdict_t *fault)
{
    if (!(selector & ~SELECTOR_RPL)) // null: good for data segments
        return which == CS || which == SS ? refuse(fault, VECTOR_TS, selector) : true;
    return descriptor_load(vcpu, which, selector, VECTOR_TS, now, &vcpu->segment[which], fault);
}

// What stands in a segment register until it is loaded: VM entry accepts it, and an access through
// it faults.
static struct segment placeholder(enum segment_register which, uint16_t selector, unsigned cpl)
{
    uint32_t dpl = (uint32_t)FIELD_MAKE(AR_DPL, cpl);
    uint32_t access =
        which == CS ? AR_PRESENT | AR_CODE_DATA | TYPE_CODE | TYPE_READABLE | TYPE_ACCESSED | dpl
                    : AR_UNUSABLE | dpl;
    return (struct segment){.selector = selector, .access = access};
}

static struct segment vm86_segment(uint16_t selector)
{
    return (struct segment){.selector = selector,
                            .base = (uint64_t)selector << 4,
                            .limit = 0xffff,
                            .access = VM86_ACCESS};
}

bool task_load_segments(struct vcpu *vcpu, const struct task_selectors *selectors, uint64_t now,
                        verdict_t *fault)
{
    static const enum segment_register order[] = {CS, SS, DS, ES, FS, GS};
    bool is_vm86 = vcpu->rflags & RFLAGS_VM;

    vcpu->cpl = is_vm86 ? 3 : selectors->segment[CS] & SELECTOR_RPL;
    for (unsigned i = ES; i <= GS; i++)
        vcpu->segment[i] =
            is_vm86 ? vm86_segment(selectors->segment[i])
                    : placeholder((enum segment_register)i, selectors->segment[i], vcpu->cpl);
    vcpu->segment[LDTR] = (struct segment){.selector = selectors->ldt, .access = AR_UNUSABLE};
    if (!load_ldt(vcpu, selectors->ldt, now, fault))
        return false;
    for (unsigned i = 0; i < ARRAY_LENGTH(order) && !is_vm86; i++)
        if (!load_segment(vcpu, order[i], selectors->segment[order[i]], now, fault))
            return false;
    return true;
}
