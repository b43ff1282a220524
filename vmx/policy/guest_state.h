// Where the VMCS keeps what struct vcpu holds in its rarer groups, field by field; their saved
// names are those of vm/vcpu_fields.c. For vmx/state.c, which moves them. SDM: "Guest-State Area".
#pragma once

#include "vm/vcpu.h"

struct guest_field {
    uint16_t encoding; // enum vmcs_field
    uint16_t offset;   // in struct vcpu
    uint16_t size;     // 2, 4 or 8 bytes there
};

#define GUEST_SEGMENT_FIELDS (4 * SEGMENTS + 4)
#define GUEST_SYSTEM_FIELDS  8
#define GUEST_DEBUG_FIELDS   3

extern const struct guest_field guest_segments[GUEST_SEGMENT_FIELDS]; // STATE_SEGMENTS but the CPL
extern const struct guest_field guest_system[GUEST_SYSTEM_FIELDS];    // STATE_SYSTEM
extern const struct guest_field guest_debug[GUEST_DEBUG_FIELDS];      // STATE_DEBUG

static inline uint64_t guest_field_get(const struct vcpu *vcpu, const struct guest_field *field)
{
    const char *at = (const char *)vcpu + field->offset;
    return field->size == 8   ? *(const uint64_t *)(const void *)at
           : field->size == 4 ? *(const uint32_t *)(const void *)at
                              : *(const uint16_t *)(const void *)at;
}

static inline void guest_field_set(struct vcpu *vcpu, const struct guest_field *field,
                                   uint64_t value)
{
    char *at = (char *)vcpu + field->offset;
    if (field->size == 8)
        *(uint64_t *)(void *)at = value;
    else if (field->size == 4)
        *(uint32_t *)(void *)at = (uint32_t)value;
    else
        *(uint16_t *)(void *)at = (uint16_t)value;
}
