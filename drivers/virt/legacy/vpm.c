// ACPI fixed hardware. ACPI specification: "ACPI Register Model", "Power Management Timer". Called
// from the port bus, and by vm_tick_devices() for the timer's overflow.
#include "drivers/virt/legacy/vpm.h"

#include "drivers/virt/legacy/frequency.h"
#include "vm/platform.h"
#include "vm/vm.h"

#define PM1_TIMER  BIT32(0)
#define PM1_GLOBAL BIT32(5)
#define PM1_POWER  BIT32(8)
#define PM1_SLEEP  BIT32(9)
#define PM1_RTC    BIT32(10)
#define PM1_EVENTS (PM1_TIMER | PM1_GLOBAL | PM1_POWER | PM1_SLEEP | PM1_RTC)

#define CONTROL_SCI_EN  BIT32(0)
#define CONTROL_BM_RLD  BIT32(1)
#define CONTROL_SLP_TYP UINT32_C(0x1c00)
#define CONTROL_SLP_EN  BIT32(13)
#define CONTROL_HELD    (CONTROL_BM_RLD | CONTROL_SLP_TYP)
#define TIMER_HALF_BITS (PM_TIMER_BITS - 1) // TMR_STS: the highest bit changed
#define SMI_APMC_EN     BIT32(5)            // ICH9's: SeaBIOS takes it that SMM was set up before
#define PM_OFFSET(port) ((port)-PORT_PM1_EVENT)

static uint64_t present_half(const struct vpm *pm)
{
    return pm->clocks >> TIMER_HALF_BITS;
}

static uint32_t pm1_status(const struct vpm *pm)
{
    return pm->status | (present_half(pm) != pm->half_seen ? PM1_TIMER : 0);
}

static void update_sci(struct vpm *pm)
{
    irq_set(&pm->sci, (pm1_status(pm) & pm->enable) || (pm->gpe_status & pm->gpe_enable));
}

// The aligned dword that holds the byte at `offset`. False: nothing is there.
static bool read_dword(const struct vpm *pm, uint64_t offset, uint32_t *value)
{
    switch (offset & ~UINT64_C(3)) {
    case PM_OFFSET(PORT_PM1_EVENT):
        *value = pm1_status(pm) | (uint32_t)pm->enable << 16;
        return true;
    case PM_OFFSET(PORT_PM1_CONTROL):
        *value = pm->control | CONTROL_SCI_EN;
        return true;
    case PM_OFFSET(PORT_PM_TIMER):
        *value = (uint32_t)(pm->clocks & (BIT(PM_TIMER_BITS) - 1));
        return true;
    case PM_OFFSET(PORT_GPE0):
        *value = pm->gpe_status | (uint32_t)pm->gpe_enable << 16;
        return true;
    case PM_OFFSET(PORT_SMI_ENABLE):
        *value = SMI_APMC_EN;
        return true;
    default:
        return false;
    }
}

static void write_control(struct vpm *pm, uint32_t value)
{
    pm->control = value & CONTROL_HELD;
    if ((value & CONTROL_SLP_EN) && FIELD_GET(CONTROL_SLP_TYP, value) == PM_SLEEP_TYPE_S5)
        vm_stop(pm->device.vm, STOP_POWEROFF, 0);
}

// One byte: the registers are defined so that their bytes are independent. Status bits are cleared
// by writing ones.
static void write_byte(struct vpm *pm, uint64_t offset, uint8_t byte)
{
    unsigned shift = 8 * (offset & 1);
    uint16_t bits = (uint16_t)(byte << shift);
    uint16_t others = (uint16_t)(0xff00 >> shift);
    switch (offset & ~UINT64_C(1)) {
    case PM_OFFSET(PORT_PM1_EVENT):
        pm->status &= (uint16_t)~bits;
        if (bits & PM1_TIMER)
            pm->half_seen = present_half(pm);
        break;
    case PM_OFFSET(PORT_PM1_EVENT) + 2:
        pm->enable = ((pm->enable & others) | bits) & PM1_EVENTS;
        break;
    case PM_OFFSET(PORT_PM1_CONTROL):
        write_control(pm, (uint32_t)(pm->control & others) | bits);
        break;
    case PM_OFFSET(PORT_GPE0):
        pm->gpe_status &= (uint16_t)~bits;
        break;
    case PM_OFFSET(PORT_GPE0) + 2:
        pm->gpe_enable = (uint16_t)((pm->gpe_enable & others) | bits);
        break;
    default: // the timer cannot be set, and the rest is not there
        break;
    }
}

// Firmware's delays are loops that read the timer.
static bool is_plain_read(const struct vpm *pm, const struct access *access)
{
    return access->offset == PM_OFFSET(PORT_PM_TIMER) && access->size == 4 && !access->write &&
           !(pm->enable & PM1_TIMER);
}

static bool vpm_access(struct vdev *device, struct access *access)
{
    struct vpm *pm = CONTAINER_OF(device, struct vpm, device);
    pm->clocks = MAX(pm->clocks, clocks_at(access->now, PM_TIMER_HZ));
    if (is_plain_read(pm, access)) {
        access->value = pm->clocks & (BIT(PM_TIMER_BITS) - 1);
        return true; // no interrupt can follow
    }
    bool answered = false;
    uint64_t value = 0;
    for (unsigned i = 0; i < access->size; i++) {
        uint64_t offset = access->offset + i;
        uint32_t dword = ~UINT32_C(0);
        answered |= read_dword(pm, offset, &dword);
        value |= (uint64_t)(uint8_t)(dword >> 8 * (offset & 3)) << 8 * i;
        if (access->write)
            write_byte(pm, offset, (uint8_t)(access->value >> 8 * i));
    }
    if (!access->write)
        access->value = value;
    update_sci(pm);
    return answered;
}

static uint64_t vpm_deadline(struct vdev *device)
{
    struct vpm *pm = CONTAINER_OF(device, struct vpm, device);
    if (!(pm->enable & PM1_TIMER) || present_half(pm) != pm->half_seen)
        return NEVER;
    return ns_at((pm->half_seen + 1) << TIMER_HALF_BITS, PM_TIMER_HZ);
}

static void vpm_tick(struct vdev *device, uint64_t now)
{
    struct vpm *pm = CONTAINER_OF(device, struct vpm, device);
    pm->clocks = MAX(pm->clocks, clocks_at(now, PM_TIMER_HZ));
    update_sci(pm);
}

static const struct field fields[] = {
    WIRING(struct vpm, device),
    FIELD_ONE(struct vpm, sci, irq_line_fields),
    FIELD_WITHIN(struct vpm, status, 0, PM1_EVENTS),
    FIELD_WITHIN(struct vpm, enable, 0, PM1_EVENTS),
    FIELD_WITHIN(struct vpm, control, 0, CONTROL_HELD),
    FIELD(struct vpm, gpe_status),
    FIELD(struct vpm, gpe_enable),
    FIELD_WITHIN(struct vpm, clocks, 0, CLOCKS_MOST),
    FIELD(struct vpm, half_seen),
    {0},
};

const struct vdev_class vpm_class = {.name = "ACPI PM",
                                     .size = sizeof(struct vpm),
                                     .access = vpm_access,
                                     .deadline = vpm_deadline,
                                     .tick = vpm_tick,
                                     .fields = fields};

bool vpm_power_button(struct vpm *pm)
{
    spin_lock(&pm->device.lock);
    bool enabled = pm->enable & PM1_POWER;
    pm->status |= PM1_POWER;
    update_sci(pm);
    vdev_unlock(&pm->device);
    return enabled;
}

void vpm_raise_event(struct vpm *pm, unsigned event)
{
    spin_lock(&pm->device.lock);
    pm->gpe_status |= (uint16_t)BIT32(event);
    update_sci(pm);
    vdev_unlock(&pm->device);
}
