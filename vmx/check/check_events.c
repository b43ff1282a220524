// The VM-entry checker: activity, interruptibility, pending debug exceptions and the link pointer,
// and how they agree with the event that the entry injects. An entry that breaks one of these exits
// with reason 33. SDM: "Checks on Guest Non-Register State".

#include "vmx/check/check.h"
#include "vmx/check/check_rules.h"

#define ACTIVITY_HLT       1
#define ACTIVITY_SHUTDOWN  2
#define ACTIVITY_WAIT_SIPI 3

#define BLOCKING_ENCLAVE BIT(4)

#define PENDING_DEBUG_ENABLED BIT(12)
#define PENDING_DEBUG_RTM     BIT(16)
#define PENDING_DEBUG_KNOWN                                                                        \
    (BITS(3, 0) | PENDING_DEBUG_ENABLED | PENDING_DEBUG_BS | PENDING_DEBUG_RTM)

#define DEBUGCTL_BTF BIT(1)

// Whether the activity state lets this event in.
static bool accepts(uint64_t activity, uint64_t type, uint64_t vector)
{
    switch (activity) {
    case ACTIVITY_HLT:
        return type == EVENT_EXTERNAL || type == EVENT_NMI || type == EVENT_OTHER ||
               (type == EVENT_EXCEPTION && (vector == VECTOR_DB || vector == VECTOR_MC));
    case ACTIVITY_SHUTDOWN:
        return type == EVENT_NMI || (type == EVENT_EXCEPTION && vector == VECTOR_MC);
    case ACTIVITY_WAIT_SIPI:
        return false;
    default:
        return true;
    }
}

static void check_activity(struct check *check, uint64_t blocking, uint64_t injected)
{
    const uint32_t at = VMCS_GUEST_ACTIVITY;
    uint64_t activity = field(check, at);
    uint64_t misc = vmx_msr(check->capabilities, MSR_VMX_MISC);
    bool known = activity == 0 || (activity <= ACTIVITY_WAIT_SIPI &&
                                   (misc & (MISC_ACTIVITY_HLT << (activity - ACTIVITY_HLT))));

    check_that(check, known, at, "is no activity state of this CPU");
    check_that(check,
               activity != ACTIVITY_HLT || !(field(check, VMCS_GUEST_SS_ACCESS_RIGHTS) & AR_DPL),
               at, "is HLT, but SS.DPL is not 0");
    check_that(check, activity == 0 || !(blocking & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS)), at,
               "is not active, but there is blocking by STI or MOV SS");
    if (injected & EVENT_VALID)
        check_that(check,
                   accepts(activity, FIELD_GET(EVENT_TYPE, injected), injected & EVENT_VECTOR), at,
                   "does not let in the event that is injected");
}

static void check_blocking(struct check *check, uint64_t blocking, uint64_t injected)
{
    const uint32_t at = VMCS_GUEST_INTERRUPTIBILITY;
    bool valid = injected & EVENT_VALID;
    bool external = valid && FIELD_GET(EVENT_TYPE, injected) == EVENT_EXTERNAL;
    bool nmi = valid && FIELD_GET(EVENT_TYPE, injected) == EVENT_NMI;
    bool virtual_nmis = check_uses(check, WORD_PIN, PIN_VIRTUAL_NMIS);
    uint64_t shadow = BLOCKING_BY_STI | BLOCKING_BY_MOV_SS;

    check_zero(check, at, BITS(31, 5), "reserved bits 31:5 are not 0");
    check_that(check, (blocking & shadow) != shadow, at, "blocking by STI and by MOV SS at once");
    check_that(check,
               !(blocking & BLOCKING_BY_STI) || (field(check, VMCS_GUEST_RFLAGS) & RFLAGS_IF), at,
               "blocking by STI while RFLAGS.IF is 0");
    check_that(check, !external || !(blocking & shadow), at,
               "blocking by STI or MOV SS, but an external interrupt is injected");
    check_that(check, !nmi || !(blocking & BLOCKING_BY_MOV_SS), at,
               "blocking by MOV SS, but an NMI is injected");
    check_that(check, !nmi || !(blocking & BLOCKING_BY_STI), at,
               "blocking by STI, but an NMI is injected (some CPUs refuse this)");
    check_that(check, !nmi || !virtual_nmis || !(blocking & BLOCKING_BY_NMI), at,
               "blocking by NMI, but an NMI is injected with virtual NMIs");
    check_zero(check, at, BLOCKING_BY_SMI, "blocking by SMI outside SMM");
    check_that(check, !(blocking & BLOCKING_ENCLAVE) || !(blocking & BLOCKING_BY_MOV_SS), at,
               "enclave interruption and blocking by MOV SS at once");
}

static void check_pending_debug(struct check *check, uint64_t blocking)
{
    const uint32_t at = VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS;
    uint64_t pending = field(check, at);
    bool halted = field(check, VMCS_GUEST_ACTIVITY) == ACTIVITY_HLT;
    bool steps = (field(check, VMCS_GUEST_RFLAGS) & RFLAGS_TF) &&
                 !(field(check, VMCS_GUEST_DEBUGCTL) & DEBUGCTL_BTF);

    check_zero(check, at, ~PENDING_DEBUG_KNOWN, "reserved bits are not 0");
    if ((blocking & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS)) || halted)
        check_that(check, !!(pending & PENDING_DEBUG_BS) == steps, at,
                   steps ? "BS is 0 in an interrupt shadow or HLT while TF is 1 and BTF is 0"
                         : "BS is 1 in an interrupt shadow or HLT, but TF is 0 or BTF is 1");
    if (pending & PENDING_DEBUG_RTM) {
        check_that(check,
                   (pending & PENDING_DEBUG_ENABLED) &&
                       !(pending & ~(PENDING_DEBUG_ENABLED | PENDING_DEBUG_RTM)),
                   at, "with bit 16 (RTM) bit 12 is 1 and all others are 0");
        check_that(check, !(blocking & BLOCKING_BY_MOV_SS), at,
                   "bit 16 (RTM) is 1 with blocking by MOV SS");
    }
}

void check_interruptibility(struct check *check)
{
    uint64_t blocking = field(check, VMCS_GUEST_INTERRUPTIBILITY);
    uint64_t injected = field(check, VMCS_ENTRY_INTERRUPTION_INFORMATION);
    check_activity(check, blocking, injected);
    check_blocking(check, blocking, injected);
    check_pending_debug(check, blocking);
    if (field(check, VMCS_LINK_POINTER) != UINT64_MAX)
        check_physical(check, VMCS_LINK_POINTER, BITS(11, 0));
}
