// Effective addresses from the VM-exit instruction information. See exits/operand.h.

#include "exits/operand.h"

#define INFO_SCALE        BITS(1, 0)
#define INFO_ADDRESS_SIZE BITS(9, 7) // 2, 4 or 8 bytes as 0, 1, 2
#define INFO_SEGMENT      BITS(17, 15)
#define INFO_INDEX        BITS(21, 18)
#define INFO_NO_INDEX     BIT32(22)
#define INFO_BASE         BITS(26, 23)
#define INFO_NO_BASE      BIT32(27)

bool operand_linear(const struct vcpu *vcpu, const struct exit *exit, unsigned size, bool write,
                    gva_t *linear, verdict_t *fault)
{
    uint64_t info = exit->instruction_info;
    uint64_t address_size = MIN(FIELD_GET(INFO_ADDRESS_SIZE, info), UINT64_C(2));
    uint64_t segment = MIN(FIELD_GET(INFO_SEGMENT, info), (uint64_t)GS);
    uint64_t offset = exit->qualification; // the displacement
    if (!(info & INFO_NO_BASE))
        offset += vcpu->gpr[FIELD_GET(INFO_BASE, info)];
    if (!(info & INFO_NO_INDEX))
        offset += vcpu->gpr[FIELD_GET(INFO_INDEX, info)] << (info & INFO_SCALE);
    offset &= size_mask(2U << address_size);
    return segment_linear(vcpu, (enum segment_register)segment, offset, size, write, linear, fault);
}
