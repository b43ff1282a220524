// What the interrupt controllers of a board hold. Called by the monitor's `info irq`.

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
