// The emulator's MMX, SSE and AVX moves between a register and memory. The registers are those of
// the XSAVE image in the vCPU; a component that XSTATE_BV calls initial is zero, whatever its bytes
// say. SDM: "XSAVE Area", "SIMD Exceptions", "VEX Prefix".

#include "lib/string.h"
#include "vm/emulate/context.h"
#include "vm/vm.h"

#define HALF 16 // bytes of an XMM register

enum component { COMPONENT_X87 = 0, COMPONENT_SSE = 1, COMPONENT_AVX = 2, COMPONENT_ZMM_HIGH = 6 };

#define XMM_OFFSET       160
#define XMM_BYTES        256
#define YMM_OFFSET       576
#define XSTATE_BV_OFFSET 512

static uint64_t present_components(const struct vcpu *vcpu)
{
    uint64_t present;
    memcpy(&present, (const uint8_t *)vcpu->fpu + XSTATE_BV_OFFSET, sizeof(present));
    return present;
}

static void set_present(struct vcpu *vcpu, enum component component)
{
    uint64_t present = present_components(vcpu) | BIT(component);
    memcpy((uint8_t *)vcpu->fpu + XSTATE_BV_OFFSET, &present, sizeof(present));
}

static uint8_t *half_register(const struct vcpu *vcpu, enum component component, unsigned number)
{
    unsigned offset = component == COMPONENT_SSE ? XMM_OFFSET : YMM_OFFSET;
    return (uint8_t *)vcpu->fpu + offset + number * HALF;
}

static void read_half(const struct vcpu *vcpu, enum component component, unsigned number,
                      uint8_t *value)
{
    if (present_components(vcpu) & BIT(component))
        memcpy(value, half_register(vcpu, component, number), HALF);
    else
        memset(value, 0, HALF);
}

static void write_half(struct vcpu *vcpu, enum component component, unsigned number,
                       const uint8_t *value)
{
    if (!(present_components(vcpu) & BIT(component))) {
        memset(half_register(vcpu, component, 0), 0, XMM_BYTES);
        set_present(vcpu, component);
    }
    memcpy(half_register(vcpu, component, number), value, HALF);
}

// VEX instructions clear the register above what they write, up to its full width.
static void clear_zmm(struct vcpu *vcpu, unsigned number)
{
    const struct cpuid_leaf *component =
        cpuid_find(&vcpu->vm->cpuid.leaves, 0xd, COMPONENT_ZMM_HIGH);
    if ((present_components(vcpu) & BIT(COMPONENT_ZMM_HIGH)) && component->ebx)
        memset((uint8_t *)vcpu->fpu + component->ebx + number * 2 * HALF, 0, 2 * HALF);
}

static bool is_usable(const struct vcpu *vcpu, bool is_vex, verdict_t *fault_out)
{
    bool enabled = is_vex ? (vcpu->cr4 & CR4_OSXSAVE) && (vcpu->xcr0 & 6) == 6
                          : (vcpu->cr4 & CR4_OSFXSR) && !(vcpu->cr0 & CR0_EM);
    if (enabled && !(vcpu->cr0 & CR0_TS))
        return true;
    return fail_with(fault_out, enabled ? fault(VECTOR_NM) : fault_ud());
}

// ---- MMX registers ----

#define FCW_OFFSET    0
#define FSW_OFFSET    2
#define FTW_OFFSET    4
#define STACK_OFFSET  32
#define STACK_STRIDE  16
#define STACK_SLOTS   8
#define FCW_INITIAL   0x37f
#define FSW_EXCEPTION BIT32(7)
#define FSW_TOP       BITS(13, 11)

static uint16_t fpu_word(const struct vcpu *vcpu, unsigned offset)
{
    uint16_t word;
    memcpy(&word, (const uint8_t *)vcpu->fpu + offset, sizeof(word));
    return word;
}

static void set_fpu_word(struct vcpu *vcpu, unsigned offset, uint16_t word)
{
    memcpy((uint8_t *)vcpu->fpu + offset, &word, sizeof(word));
}

// An MMX instruction makes all registers valid and sets TOP to 0. The image has them in the order
// of the stack, MMX registers have fixed places.
static void enter_mmx(struct vcpu *vcpu)
{
    uint8_t *stack = (uint8_t *)vcpu->fpu + STACK_OFFSET, old[STACK_SLOTS * STACK_STRIDE];
    uint64_t present = present_components(vcpu);
    if (!(present & BIT(COMPONENT_X87))) {
        set_fpu_word(vcpu, FCW_OFFSET, FCW_INITIAL);
        set_fpu_word(vcpu, FSW_OFFSET, 0);
        memset(stack, 0, sizeof(old));
        set_present(vcpu, COMPONENT_X87);
    }
    uint64_t status = fpu_word(vcpu, FSW_OFFSET);
    unsigned top = (unsigned)FIELD_GET(FSW_TOP, status);
    memcpy(old, stack, sizeof(old));
    for (unsigned i = 0; i < STACK_SLOTS; i++)
        memcpy(stack + i * STACK_STRIDE, old + (i - top) % STACK_SLOTS * STACK_STRIDE,
               STACK_STRIDE);
    set_fpu_word(vcpu, FSW_OFFSET, (uint16_t)(status & ~FSW_TOP));
    ((uint8_t *)vcpu->fpu)[FTW_OFFSET] = 0xff;
    vcpu->dirty |= STATE_FPU;
}

static bool is_mmx_usable(const struct vcpu *vcpu, verdict_t *fault_out)
{
    bool is_pending = (present_components(vcpu) & BIT(COMPONENT_X87)) &&
                      (fpu_word(vcpu, FSW_OFFSET) & FSW_EXCEPTION);
    if (vcpu->cr0 & CR0_EM)
        *fault_out = fault_ud();
    else if (vcpu->cr0 & CR0_TS)
        *fault_out = fault(VECTOR_NM);
    else if (is_pending)
        *fault_out = fault(VECTOR_MF);
    else
        return true;
    return false;
}

static bool move_mmx(struct emulate_context *context)
{
    struct vcpu *vcpu = context->vcpu;
    const struct instruction *instruction = &context->instruction;
    bool is_load = instruction->form == FORM_REG_RM;
    uint8_t *slot = (uint8_t *)vcpu->fpu + STACK_OFFSET + (instruction->reg & 7U) * STACK_STRIDE;
    uint64_t value = 0;
    if (!is_mmx_usable(vcpu, &context->fault) ||
        !operand_prepare(context, instruction->operand_size, !is_load))
        return false;
    enter_mmx(vcpu);
    if (is_load) {
        linear_load(vcpu, &context->memory, &value, context->now);
        memcpy(slot, &value, sizeof(value));
        memset(slot + sizeof(value), 0xff, 2); // exponent and sign
    } else {
        linear_store(vcpu, &context->memory, slot, context->now);
    }
    return true;
}

// ---- SSE and AVX registers ----

static void load(struct emulate_context *context)
{
    struct vcpu *vcpu = context->vcpu;
    const struct instruction *instruction = &context->instruction;
    uint8_t value[2 * HALF] = {0}, data[2 * HALF] = {0};
    linear_load(vcpu, &context->memory, data, context->now);
    if (instruction->vector & (VECTOR_LOW_HALF | VECTOR_HIGH_HALF)) {
        unsigned other = instruction->is_vex ? instruction->vex_register : instruction->reg;
        read_half(vcpu, COMPONENT_SSE, other, value);
        memcpy(value + (instruction->vector & VECTOR_HIGH_HALF ? 8 : 0), data, 8);
    } else {
        memcpy(value, data, sizeof(value));
    }
    write_half(vcpu, COMPONENT_SSE, instruction->reg, value);
    if (instruction->is_vex) {
        write_half(vcpu, COMPONENT_AVX, instruction->reg, value + HALF);
        clear_zmm(vcpu, instruction->reg);
    }
    vcpu->dirty |= STATE_FPU;
}

static void store(struct emulate_context *context)
{
    struct vcpu *vcpu = context->vcpu;
    const struct instruction *instruction = &context->instruction;
    uint8_t value[2 * HALF];
    read_half(vcpu, COMPONENT_SSE, instruction->reg, value);
    read_half(vcpu, COMPONENT_AVX, instruction->reg, value + HALF);
    linear_store(vcpu, &context->memory, value + (instruction->vector & VECTOR_HIGH_HALF ? 8 : 0),
                 context->now);
}

bool emulate_vector(struct emulate_context *context)
{
    const struct instruction *instruction = &context->instruction;
    bool is_load = instruction->form == FORM_REG_RM;
    if (instruction->vector & VECTOR_MMX)
        return move_mmx(context);
    if (!is_usable(context->vcpu, instruction->is_vex, &context->fault))
        return false;
    if (instruction->vector & VECTOR_ALIGNED)
        context->alignment = instruction->operand_size;
    if (!operand_prepare(context, instruction->operand_size, !is_load))
        return false;
    if (is_load)
        load(context);
    else
        store(context);
    return true;
}
