// What the registers of a local APIC let a guest do. For the files of the local APIC. SDM: "Local
// APIC Register Address Map", "x2APIC Register Address Space".
#include "vm/apic/lapic_registers.h"

#define LVT_STATUS      BIT32(12)
#define LVT_LINT_STATUS (LVT_STATUS | LVT_REMOTE_IRR)

#define AT(offset)     [(offset) / 16]
#define GROUPS(offset) [(offset) / 16 ...(offset) / 16 + LAPIC_GROUPS - 1] = {0, 0, XR | MR}

const struct lapic_rule lapic_rules[LAPIC_REGISTERS] = {
    AT(LAPIC_ID) = {0, 0, XR | MR},
    AT(LAPIC_VERSION) = {0, 0, XR | MR},
    AT(LAPIC_TPR) = {0xff, 0, XR | XW | MR | MW},
    AT(LAPIC_APR) = {0, 0, XR},
    AT(LAPIC_PPR) = {0, 0, XR | MR},
    AT(LAPIC_EOI) = {0, 0, XR | XW | MW},
    AT(LAPIC_RRD) = {0, 0, XR},
    AT(LAPIC_LDR) = {0xff000000, 0, XR | XW | MR},
    AT(LAPIC_DFR) = {0xf0000000, 0, XR | XW},
    AT(LAPIC_SVR) = {0x3ff, 0, XR | XW | MR | MW},
    GROUPS(LAPIC_ISR),
    GROUPS(LAPIC_TMR),
    GROUPS(LAPIC_IRR),
    AT(LAPIC_ESR) = {0, 0, XR | XW | MR | MW},
    AT(LAPIC_LVT_CMCI) = {0x107ff, LVT_STATUS, XR | XW | MR | MW},
    AT(LAPIC_ICR) = {ICR_WRITABLE, ICR_DELIVERY_STATUS, XR | XW | MR | MW},
    AT(LAPIC_ICR_HIGH) = {0xff000000, 0, XR | XW},
    AT(LAPIC_LVT_TIMER) = {0x700ff, LVT_STATUS, XR | XW | MR | MW},
    AT(LAPIC_LVT_THERMAL) = {0x107ff, LVT_STATUS, XR | XW | MR | MW},
    AT(LAPIC_LVT_PMC) = {0x107ff, LVT_STATUS, XR | XW | MR | MW},
    AT(LAPIC_LVT_LINT0) = {0x1a7ff, LVT_LINT_STATUS, XR | XW | MR | MW},
    AT(LAPIC_LVT_LINT1) = {0x1a7ff, LVT_LINT_STATUS, XR | XW | MR | MW},
    AT(LAPIC_LVT_ERROR) = {0x100ff, LVT_STATUS, XR | XW | MR | MW},
    AT(LAPIC_INITIAL_COUNT) = {0xffffffff, 0, XR | XW | MR | MW},
    AT(LAPIC_CURRENT_COUNT) = {0, 0, XR | MR},
    AT(LAPIC_DIVIDE) = {0xb, 0, XR | XW | MR | MW},
    AT(LAPIC_SELF_IPI) = {0xff, 0, MW},
};
