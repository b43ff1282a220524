// See guest_state.h.
#include "vmx/policy/guest_state.h"

#include "vmx/policy/vmcs.h"

#define AT(field, member)                                                                          \
    {                                                                                              \
        (field), offsetof(struct vcpu, member), sizeof(((struct vcpu *)0)->member)                 \
    }
#define SEGMENT(name)                                                                              \
    AT(VMCS_GUEST_SELECTOR(name), segment[name].selector),                                         \
        AT(VMCS_GUEST_LIMIT(name), segment[name].limit),                                           \
        AT(VMCS_GUEST_ACCESS_RIGHTS(name), segment[name].access),                                  \
        AT(VMCS_GUEST_BASE(name), segment[name].base)

const struct guest_field guest_segments[] = {
    SEGMENT(ES),
    SEGMENT(CS),
    SEGMENT(SS),
    SEGMENT(DS),
    SEGMENT(FS),
    SEGMENT(GS),
    SEGMENT(LDTR),
    SEGMENT(TR),
    AT(VMCS_GUEST_GDTR_BASE, gdtr.base),
    AT(VMCS_GUEST_GDTR_LIMIT, gdtr.limit),
    AT(VMCS_GUEST_IDTR_BASE, idtr.base),
    AT(VMCS_GUEST_IDTR_LIMIT, idtr.limit),
};

const struct guest_field guest_system[] = {
    AT(VMCS_GUEST_SYSENTER_CS, sysenter_cs),   AT(VMCS_GUEST_SYSENTER_ESP, sysenter_esp),
    AT(VMCS_GUEST_SYSENTER_EIP, sysenter_eip), AT(VMCS_GUEST_PAT, pat),
    AT(VMCS_GUEST_PDPTE_0, pdpte[0]),          AT(VMCS_GUEST_PDPTE_0 + 2, pdpte[1]),
    AT(VMCS_GUEST_PDPTE_0 + 4, pdpte[2]),      AT(VMCS_GUEST_PDPTE_0 + 6, pdpte[3]),
};

const struct guest_field guest_debug[] = {
    AT(VMCS_GUEST_DR7, dr7),
    AT(VMCS_GUEST_DEBUGCTL, debugctl),
    AT(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, pending_debug),
};
