// What the files of the local APIC share about its registers.
#pragma once

#include "vm/apic/lapic.h"

#define LAPIC_REGISTERS 0x40 // of 16 bytes; the rest of the page is reserved

#define ICR_WRITABLE        UINT32_C(0x000ccfff)
#define ICR_DELIVERY_STATUS BIT32(12)

// Who may do what.
#define XR 1 // read by MMIO
#define XW 2 // write by MMIO
#define MR 4 // RDMSR
#define MW 8 // WRMSR

struct lapic_rule {
    uint32_t writable; // bits that a write can change
    uint32_t ignored;  // read-only bits that WRMSR may carry; all others must be zero there
    uint8_t allowed;
};

extern const struct lapic_rule lapic_rules[LAPIC_REGISTERS];

// Masks all entries of the local vector table.
void lapic_mask_all(struct lapic *lapic);

// Notes the registers whose old values matter when the CPU has written them for the guest; and puts
// those values back.
void lapic_keep(struct lapic *lapic);
void lapic_put_back(struct lapic *lapic);

// A write to IA32_APIC_BASE. False: #GP.
bool lapic_write_base(struct vcpu *vcpu, uint64_t value);

// Shows in the page, for a CPU that reads it for the guest, whether LINT0's level-triggered
// interrupt has come and not ended.
void lapic_show_remote_irr(struct lapic *lapic);
