// SGDT, SIDT, LGDT, LIDT and SLDT, STR, LLDT, LTR, for when they are made to exit. Called through
// exit_table[]. SDM: the instructions' own pages; "Instruction Information Field for LIDT, LGDT,
// SIDT, or SGDT", "... for LLDT, LTR, SLDT, and STR".

#include "exits/handlers.h"
#include "exits/operand.h"
#include "lib/string.h"
#include "vm/cpu/debug.h"
#include "vm/emulate/descriptor.h"
#include "vm/vm.h"

enum table_instruction { SGDT, SIDT, LGDT, LIDT };
enum system_instruction { SLDT, STR, LLDT, LTR };

#define BASE_24BIT UINT64_C(0xffffff)

static bool may_store(const struct vcpu *vcpu)
{
    return vcpu->cpl == 0 || !(vcpu->cr4 & CR4_UMIP);
}

// A pseudo-descriptor: 2 bytes of limit, then 4 or 8 of base.
static verdict_t store_table(struct vcpu *vcpu, const struct exit *exit,
                             const struct table_register *table)
{
    unsigned size = vcpu_in_64bit(vcpu) ? 10 : 6;
    uint8_t bytes[10];
    uint16_t limit = (uint16_t)table->limit;
    gva_t linear;
    verdict_t fault;
    memcpy(bytes, &limit, sizeof(limit));
    memcpy(bytes + sizeof(limit), &table->base, sizeof(table->base));
    if (!may_store(vcpu))
        return fault_gp(0);
    if (!operand_store(vcpu, exit, bytes, size, &linear, &fault))
        return fault;
    debug_trap(vcpu, debug_data(vcpu, linear, size, true));
    return next();
}

static verdict_t load_table(struct vcpu *vcpu, const struct exit *exit,
                            struct table_register *table)
{
    bool is_64bit = vcpu_in_64bit(vcpu);
    unsigned size = is_64bit ? 10 : 6;
    uint8_t bytes[10] = {0};
    uint16_t limit;
    uint64_t base;
    gva_t linear;
    verdict_t fault;
    if (vcpu->cpl > 0)
        return fault_gp(0);
    if (!operand_load(vcpu, exit, bytes, size, &linear, &fault))
        return fault;
    memcpy(&limit, bytes, sizeof(limit));
    memcpy(&base, bytes + sizeof(limit), sizeof(base));
    if (!is_64bit && !(exit->instruction_info & OPERAND_32BIT))
        base &= BASE_24BIT;
    if (!is_canonical(base, vcpu->vm->cpuid.linear_width))
        return fault_gp(0);
    debug_trap(vcpu, debug_data(vcpu, linear, size, false));
    *table = (struct table_register){.base = base, .limit = limit};
    vcpu->dirty |= STATE_SEGMENTS;
    return next();
}

verdict_t exit_gdtr_idtr(struct vcpu *vcpu, const struct exit *exit)
{
    uint32_t missing = linear_missing(vcpu) | debug_missing(vcpu);
    if (missing)
        return need(missing);
    switch ((enum table_instruction)FIELD_GET(OPERAND_IDENTITY, (uint64_t)exit->instruction_info)) {
    case SGDT:
        return store_table(vcpu, exit, &vcpu->gdtr);
    case SIDT:
        return store_table(vcpu, exit, &vcpu->idtr);
    case LGDT:
        return load_table(vcpu, exit, &vcpu->gdtr);
    case LIDT:
        return load_table(vcpu, exit, &vcpu->idtr);
    }
    return fault_ud();
}

static verdict_t store_selector(struct vcpu *vcpu, const struct exit *exit, uint16_t selector)
{
    gva_t linear;
    verdict_t fault;
    if (!may_store(vcpu))
        return fault_gp(0);
    if (!(exit->instruction_info & OPERAND_IS_REGISTER)) {
        if (!operand_store(vcpu, exit, &selector, sizeof(selector), &linear, &fault))
            return fault;
        debug_trap(vcpu, debug_data(vcpu, linear, sizeof(selector), true));
        return next();
    }
    bool is_16bit;
    if (!operand_is_16bit(vcpu, &is_16bit, &fault))
        return fault;
    uint64_t gpr = FIELD_GET(OPERAND_REGISTER_1, (uint64_t)exit->instruction_info);
    uint64_t kept = is_16bit ? vcpu->gpr[gpr] & ~UINT64_C(0xffff) : 0;
    vcpu->gpr[gpr] = kept | selector;
    if (gpr == RSP)
        vcpu->dirty |= STATE_STACK;
    return next();
}

// LLDT and LTR: a system segment from the GDT. Type and presence are checked in the SDM's order.
static verdict_t load_system(struct vcpu *vcpu, const struct exit *exit, uint16_t selector,
                             bool is_task)
{
    bool is_wide = vcpu->efer & EFER_LMA;
    uint32_t error = SELECTOR_ERROR(selector);
    struct descriptor descriptor;
    verdict_t fault;

    if (selector & SELECTOR_LOCAL)
        return fault_gp(error);
    if (!descriptor_read(vcpu, selector, is_wide, VECTOR_GP, exit_now(vcpu, exit), &descriptor,
                         &fault))
        return fault;
    uint32_t access = descriptor_access(&descriptor), type = access & (AR_TYPE | AR_CODE_DATA);
    bool is_right = is_task
                        ? type == TYPE_TSS32_AVAILABLE || (!is_wide && type == TYPE_TSS16_AVAILABLE)
                        : type == TYPE_LDT;
    struct segment segment = descriptor_segment(selector, &descriptor);
    if (!is_right || !is_canonical(segment.base, vcpu->vm->cpuid.linear_width))
        return fault_gp(error);
    if (!(access & AR_PRESENT))
        return fault_code(VECTOR_NP, error);
    if (is_task) {
        if (!descriptor_mark(vcpu, &descriptor, TYPE_TSS_BUSY, 0, exit_now(vcpu, exit), &fault))
            return fault;
        segment.access |= TYPE_TSS_BUSY;
    }
    vcpu->segment[is_task ? TR : LDTR] = segment;
    vcpu->dirty |= STATE_SEGMENTS;
    return next();
}

static verdict_t load_selector(struct vcpu *vcpu, const struct exit *exit, bool is_task)
{
    uint16_t selector;
    gva_t linear;
    verdict_t fault;
    if (vcpu->cpl > 0)
        return fault_gp(0);
    if (exit->instruction_info & OPERAND_IS_REGISTER)
        selector =
            (uint16_t)vcpu->gpr[FIELD_GET(OPERAND_REGISTER_1, (uint64_t)exit->instruction_info)];
    else if (!operand_load(vcpu, exit, &selector, sizeof(selector), &linear, &fault))
        return fault;
    if (selector & ~SELECTOR_RPL)
        return load_system(vcpu, exit, selector, is_task);
    if (is_task)
        return fault_gp(0);
    vcpu->segment[LDTR].selector = selector;
    vcpu->segment[LDTR].access |= AR_UNUSABLE;
    vcpu->dirty |= STATE_SEGMENTS;
    return next();
}

verdict_t exit_ldtr_tr(struct vcpu *vcpu, const struct exit *exit)
{
    uint32_t missing = linear_missing(vcpu) | debug_missing(vcpu);
    if (missing)
        return need(missing);
    switch (
        (enum system_instruction)FIELD_GET(OPERAND_IDENTITY, (uint64_t)exit->instruction_info)) {
    case SLDT:
        return store_selector(vcpu, exit, vcpu->segment[LDTR].selector);
    case STR:
        return store_selector(vcpu, exit, vcpu->segment[TR].selector);
    case LLDT:
        return load_selector(vcpu, exit, false);
    case LTR:
        return load_selector(vcpu, exit, true);
    }
    return fault_ud();
}
