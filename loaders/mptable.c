// Says what the MADT says (loaders/acpi.c). Intel's "MultiProcessor Specification" 1.4: "MP
// Configuration Table".

#include "loaders/mptable.h"

#include "lib/bytes.h"
#include "lib/string.h"
#include "vm/apic/lapic.h"
#include "vm/platform.h"

#define POINTER_SIZE 16
#define HEADER_SIZE  44
#define REVISION     4 // 1.4
#define OEM_ID       "CORBEL  "
#define PRODUCT_ID   "VM          "

enum entry_type { PROCESSOR, BUS, IOAPIC, IO_INTERRUPT, LOCAL_INTERRUPT };
enum { BUS_PCI, BUS_ISA };
enum interrupt_type { VECTORED = 0, NMI = 1, EXTINT = 3 };

#define LONG_ENTRY     20 // a processor
#define ENTRY          8  // all others
#define CPU_ENABLED    BIT32(0)
#define CPU_BOOT       BIT32(1)
#define IOAPIC_ENABLED 1
#define IOAPIC_VERSION 0x11
#define CONFORMS       0x0 // edge, active high on ISA
#define EDGE_HIGH      0x5
#define LEVEL_HIGH     0xd
#define LEVEL_LOW      0xf
#define PCI_SLOTS      32
#define ALL_APICS      0xff
#define XAPIC_ID_MAX   254

struct table {
    uint16_t size;
    uint16_t entries;
    uint8_t bytes[HEADER_SIZE + VM_VCPUS * LONG_ENTRY + (2 + 1 + ISA_IRQS + PCI_SLOTS + 2) * ENTRY];
};

static uint8_t *add(struct table *table, enum entry_type type, uint8_t size)
{
    uint8_t *entry = table->bytes + table->size;
    entry[0] = (uint8_t)type;
    table->size = (uint16_t)(table->size + size);
    table->entries++;
    return entry;
}

static void add_processor(struct table *table, const struct vm *vm, unsigned index)
{
    const struct cpuid_slot *features = &vm->cpuid.slot[cpuid_slot_of(1)];
    uint32_t apic_id = vm->vcpu[index]->apic_id;
    if (apic_id > XAPIC_ID_MAX)
        return;
    uint8_t *entry = add(table, PROCESSOR, LONG_ENTRY);
    entry[1] = (uint8_t)apic_id;
    entry[2] = (uint8_t)LAPIC_VERSION_VALUE;
    entry[3] = (uint8_t)(CPU_ENABLED | (index == 0 ? CPU_BOOT : 0));
    put32(entry + 4, features->eax & 0xfff); // family, model, stepping
    put32(entry + 8, features->edx);
}

static void add_bus(struct table *table, uint8_t id, const char *name)
{
    uint8_t *entry = add(table, BUS, ENTRY);
    entry[1] = id;
    memcpy(entry + 2, name, 6);
}

static void add_ioapic(struct table *table)
{
    uint8_t *entry = add(table, IOAPIC, ENTRY);
    entry[2] = IOAPIC_VERSION;
    entry[3] = IOAPIC_ENABLED;
    put32(entry + 4, (uint32_t)MMIO_IOAPIC);
}

static uint8_t *add_interrupt(struct table *table, enum entry_type where, enum interrupt_type type,
                              uint16_t flags, uint8_t irq, uint8_t apic, uint8_t pin)
{
    uint8_t *entry = add(table, where, ENTRY);
    entry[1] = (uint8_t)type;
    put16(entry + 2, flags);
    entry[4] = BUS_ISA;
    entry[5] = irq;
    entry[6] = apic;
    entry[7] = pin;
    return entry;
}

// INTA of each slot.
static void add_pci_interrupts(struct table *table)
{
    for (uint8_t slot = 1; slot < PCI_SLOTS; slot++)
        add_interrupt(table, IO_INTERRUPT, VECTORED, LEVEL_LOW, (uint8_t)(slot << 2), 0,
                      PCI_IRQ(slot))[4] = BUS_PCI;
}

static void add_interrupts(struct table *table)
{
    for (uint8_t irq = 0; irq < ISA_IRQS; irq++)
        if (irq != IRQ_CASCADE && irq != IRQ_PCI_AB && irq != IRQ_PCI_CD)
            add_interrupt(table, IO_INTERRUPT, VECTORED, irq == IRQ_SCI ? LEVEL_HIGH : CONFORMS,
                          irq, 0, irq == IRQ_PIT ? GSI_PIT : irq);
    add_pci_interrupts(table);
    add_interrupt(table, LOCAL_INTERRUPT, EXTINT, CONFORMS, 0, 0, 0); // LINT0 of the first
    add_interrupt(table, LOCAL_INTERRUPT, NMI, EDGE_HIGH, 0, ALL_APICS, 1);
}

static void finish(struct table *table)
{
    uint8_t *header = table->bytes;
    memcpy(header, "PCMP", 4);
    put16(header + 4, table->size);
    header[6] = REVISION;
    memcpy(header + 8, OEM_ID, 8);
    memcpy(header + 16, PRODUCT_ID, 12);
    put16(header + 34, table->entries);
    put32(header + 36, (uint32_t)MMIO_LAPIC);
    header[7] = (uint8_t)-sum8(header, table->size);
}

void mptable_write(struct loading *loading)
{
    struct table table = {.size = HEADER_SIZE};
    for (unsigned i = 0; i < loading->vm->vcpu_count; i++)
        add_processor(&table, loading->vm, i);
    add_bus(&table, BUS_PCI, "PCI   ");
    add_bus(&table, BUS_ISA, "ISA   ");
    add_ioapic(&table);
    add_interrupts(&table);
    finish(&table);
    // All features zero: there is a table, and no IMCR, for the 8259s reach LINT0.
    uint8_t pointer[POINTER_SIZE] = "_MP_";
    put32(pointer + 4, (uint32_t)(BIOS_ROM + POINTER_SIZE));
    pointer[8] = POINTER_SIZE / 16;
    pointer[9] = REVISION;
    pointer[10] = (uint8_t)-sum8(pointer, POINTER_SIZE);
    loading_write(loading, BIOS_ROM, pointer, POINTER_SIZE);
    loading_write(loading, BIOS_ROM + POINTER_SIZE, table.bytes, table.size);
}
