// ACPI's fixed hardware: the PM1a registers, the power-management timer and the GPE block, at
// the ports that vm/platform.h names and the FADT repeats. ACPI mode is always on: SCI_EN cannot be
// cleared.
#pragma once

#include "vm/bus.h"
#include "vm/irq.h"

#define VPM_LENGTH 0x34 // ports from PORT_PM1_EVENT on

struct vpm {
    struct vdev device;
    struct irq_line sci; // level-triggered
    uint16_t status;     // PM1_STS without TMR_STS
    uint16_t enable;     // PM1_EN
    uint16_t control;    // PM1_CNT without SCI_EN
    uint16_t gpe_status;
    uint16_t gpe_enable;
    uint64_t clocks;    // of the timer, since VM time 0: never goes back
    uint64_t half_seen; // the half of the timer's range in which TMR_STS was last cleared
};

extern const struct vdev_class vpm_class;

// A general-purpose event, 0 to 8 * GPE0_LENGTH / 2 - 1, happens.
void vpm_raise_event(struct vpm *pm, unsigned event);

// The power button is pressed. False: the guest has not enabled its event.
bool vpm_power_button(struct vpm *pm);
