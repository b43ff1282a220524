// Operands: what the VM-exit instruction information tells, and what only the bytes do. See
// exits/operand.h.

#include "exits/operand.h"

#include "vm/vm.h"

#define ESCAPE              0x0f
#define OPERAND_SIZE_PREFIX 0x66
#define IS_REX_W(byte)      (((byte)&0xf8) == 0x48)

bool operand_is_16bit(struct vcpu *vcpu, bool *is_16bit, verdict_t *fault)
{
    uint8_t bytes[INSTRUCTION_MAX];
    unsigned count = 0;
    bool has_prefix = false;
    if (!linear_fetch(vcpu, bytes, &count, fault))
        return false;
    for (unsigned i = 0; i < count && bytes[i] != ESCAPE; i++)
        has_prefix = (has_prefix || bytes[i] == OPERAND_SIZE_PREFIX) &&
                     !(IS_REX_W(bytes[i]) && vcpu_in_64bit(vcpu));
    *is_16bit = (code_bits(vcpu) == 16) != has_prefix;
    return true;
}

unsigned operand_address_size(const struct exit *exit)
{
    return 2U << MIN(FIELD_GET(INFO_ADDRESS_SIZE, exit->instruction_info), UINT64_C(2));
}

enum segment_register operand_segment(const struct exit *exit)
{
    return (enum segment_register)MIN(FIELD_GET(INFO_SEGMENT, exit->instruction_info),
                                      (uint64_t)GS);
}

static bool operand_linear(const struct vcpu *vcpu, const struct exit *exit, unsigned size,
                           bool write, gva_t *linear, verdict_t *fault)
{
    uint64_t info = exit->instruction_info;
    uint64_t offset = exit->qualification; // the displacement
    if (!(info & INFO_NO_BASE))
        offset += vcpu->gpr[FIELD_GET(INFO_BASE, info)];
    if (!(info & INFO_NO_INDEX))
        offset += vcpu->gpr[FIELD_GET(INFO_INDEX, info)] << (info & INFO_SCALE);
    offset &= size_mask(operand_address_size(exit));
    return segment_linear(vcpu, operand_segment(exit), offset, size, write, linear, fault);
}

bool operand_load(struct vcpu *vcpu, const struct exit *exit, void *bytes, unsigned size,
                  gva_t *linear, verdict_t *fault)
{
    return operand_linear(vcpu, exit, size, false, linear, fault) &&
           linear_read(vcpu, *linear, bytes, size, false, exit_now(vcpu, exit), fault);
}

bool operand_store(struct vcpu *vcpu, const struct exit *exit, const void *bytes, unsigned size,
                   gva_t *linear, verdict_t *fault)
{
    return operand_linear(vcpu, exit, size, true, linear, fault) &&
           linear_write(vcpu, *linear, bytes, size, vcpu->cpl == 3, exit_now(vcpu, exit), fault);
}
