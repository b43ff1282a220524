// What the devices of a board hold. Called by the monitor's `info irq`, `info pci` and
// `info qtree`.

#include "drivers/virt/board_report.h"

#include "drivers/virt/board.h"

static void report_pic(struct printer *to, const struct vpic *pic)
{
    for (unsigned i = 0; i < 2; i++) {
        const struct vpic_chip *chip = &pic->chip[i];
        print_to(to,
                 "8259 %s: inputs %02x latched %02x mask %02x in service %02x level %02x vectors "
                 "from %#x\n",
                 i ? "slave " : "master", chip->lines, chip->latched, chip->mask, chip->service,
                 chip->level_inputs, chip->vector_base);
    }
}

static void report_ioapic(struct printer *to, const struct vioapic *ioapic)
{
    static const char *const modes[8] = {"fixed", "lowest", "SMI",      "reserved",
                                         "NMI",   "INIT",   "reserved", "ExtINT"};
    print_to(to, "I/O APIC %u: inputs %06x\n", ioapic->id, ioapic->inputs);
    for (unsigned pin = 0; pin < VIOAPIC_PINS; pin++) {
        uint64_t entry = ioapic->redirection[pin];
        if ((entry & VIOAPIC_MASKED) && !FIELD_GET(VIOAPIC_VECTOR, entry))
            continue;
        print_to(to, "  pin %2u: vector %02lx %-8s %s to %s %02lx%s%s\n", pin,
                 FIELD_GET(VIOAPIC_VECTOR, entry), modes[FIELD_GET(VIOAPIC_MODE, entry)],
                 entry & VIOAPIC_LEVEL ? "level" : "edge ",
                 entry & VIOAPIC_LOGICAL ? "logical" : "APIC",
                 FIELD_GET(VIOAPIC_DESTINATION, entry), entry & VIOAPIC_MASKED ? " masked" : "",
                 entry & VIOAPIC_REMOTE_IRR ? " waits for EOI" : "");
    }
}

void board_report_irq(struct printer *to, struct vm *vm)
{
    const struct board *board = vm->board;
    report_pic(to, &board->pic);
    report_ioapic(to, &board->ioapic);
}

void board_report_devices(struct printer *to, struct vm *vm)
{
    const struct board *board = vm->board;
    for (unsigned i = 0; i < board->device_count; i++) {
        const struct vdev *device = board->device[i];
        print_to(to, "dev: %s, \"%s\"\n", device->class->name, device->name);
        fields_print(device->class->fields, device, to);
    }
}

static void report_region(struct printer *to, const struct vpci_function *function, unsigned region)
{
    uint32_t mask = function->writable[VPCI_BASE + region], size = mask & -mask;
    uint32_t base = function->value[VPCI_BASE + region];
    if (!size)
        return;
    print_to(to, "      BAR%u: %s at %#x [%#x]%s.\n", region,
             base & VPCI_BASE_IO ? "I/O" : "32 bit memory", base & mask, (base & mask) + size - 1,
             function->placed[region] ? "" : ", not decoded");
}

static void report_function(struct printer *to, unsigned slot, const struct vpci_function *function)
{
    const uint32_t *value = function->value;
    print_to(to, "  Bus  0, device %3u, function 0:\n", slot);
    print_to(to, "    Class %04x: PCI device %04x:%04x\n", value[VPCI_CLASS] >> 16,
             value[VPCI_ID] & 0xffff, value[VPCI_ID] >> 16);
    if (value[VPCI_SUBSYSTEM])
        print_to(to, "      PCI subsystem %04x:%04x\n", value[VPCI_SUBSYSTEM] & 0xffff,
                 value[VPCI_SUBSYSTEM] >> 16);
    if (value[VPCI_INTERRUPT] >> 8)
        print_to(to, "      IRQ %u, pin A\n", value[VPCI_INTERRUPT] & 0xff);
    for (unsigned i = 0; i < VPCI_REGIONS; i++)
        report_region(to, function, i);
    if (function->device)
        print_to(to, "      id \"%s\"\n", function->device->name);
}

void board_report_pci(struct printer *to, struct vm *vm)
{
    const struct board *board = vm->board;
    for (unsigned slot = 0; slot < VPCI_SLOTS; slot++)
        if (board->pci.slot[slot])
            report_function(to, slot, board->pci.slot[slot]);
}

bool board_report_balloon(struct vm *vm, struct balloon_report *report)
{
    struct board *board = vm->board;
    if (vm->traits.balloon != BALLOON_OFF)
        *report = virtio_balloon_report(&board->balloon);
    return vm->traits.balloon != BALLOON_OFF;
}
