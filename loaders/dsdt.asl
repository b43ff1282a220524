// What the board has, in ACPI's words. The C preprocessor puts vm/platform.h's numbers here; iasl checks that a window's
// length is right. UARTS: serial ports, 1 or 2. ACPI: "ACPI Source Language (ASL) Reference".

#undef UINT64_C
#define UINT64_C(number) number

#define ISA_DEVICE(name, id, uid, port, ports, irq)                                                \
    Device (name)                                                                                  \
    {                                                                                              \
        Name (_HID, EisaId (id))                                                                   \
        Name (_UID, uid)                                                                           \
        Name (_CRS, ResourceTemplate ()                                                            \
        {                                                                                          \
            IO (Decode16, port, port, 1, ports)                                                    \
            IRQNoFlags () {irq}                                                                    \
        })                                                                                         \
    }

// INTA of a slot, as PCI_IRQ() says.
#define PCI_SLOT(number) Package () {number << 16 | 0xffff, 0, 0, IRQ_PCI_AB + number / 2 % 2}

DefinitionBlock ("", "DSDT", 2, "CORBEL", "CORBEL", 1)
{
    Scope (\_SB)
    {
        // a root bridge with one bus, its own ports, and the windows for what is on it
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A03"))
            Name (_UID, 0)
            Name (_CRS, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 0, 0, 1)
                IO (Decode16, PORT_PCI_ADDRESS, PORT_PCI_ADDRESS, 1, 8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                        0, 0, 0x0cf7, 0, PORT_PCI_ADDRESS)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                        0, PORT_PCI_WINDOW, 0xffff, 0, 0xa000)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                             0, PCI_MMIO_START, PCI_BEFORE_ECAM, 0, 0x3c000000)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                             0, PCI_BEHIND_ECAM, PCI_MMIO_END, 0, 0x2b00000)
            })
            Name (_PRT, Package ()
            {
                PCI_SLOT (0x01), PCI_SLOT (0x02), PCI_SLOT (0x03), PCI_SLOT (0x04), PCI_SLOT (0x05), PCI_SLOT (0x06),
                PCI_SLOT (0x07), PCI_SLOT (0x08), PCI_SLOT (0x09), PCI_SLOT (0x0a), PCI_SLOT (0x0b), PCI_SLOT (0x0c),
                PCI_SLOT (0x0d), PCI_SLOT (0x0e), PCI_SLOT (0x0f), PCI_SLOT (0x10), PCI_SLOT (0x11), PCI_SLOT (0x12),
                PCI_SLOT (0x13), PCI_SLOT (0x14), PCI_SLOT (0x15), PCI_SLOT (0x16), PCI_SLOT (0x17), PCI_SLOT (0x18)
            })
        }
        ISA_DEVICE (RTC, "PNP0B00", 0, PORT_RTC, 2, IRQ_RTC)
        ISA_DEVICE (COM1, "PNP0501", 1, PORT_COM1, 8, IRQ_COM1)
#if UARTS == 2
        ISA_DEVICE (COM2, "PNP0501", 2, PORT_COM2, 8, IRQ_COM2)
#endif
    }
    Scope (\_SB)
    {
        // its place: the low half of the address, the high half
        Device (VGEN)
        {
            Name (_HID, "CRBL0001")
            Name (_CID, "VM_Gen_Counter")
            Name (_DDN, "VM_Gen_Counter")
            Name (ADDR, Package () {MMIO_GENERATION, 0})
        }
    }
    Scope (\_GPE)
    {
        Method (_E00) // GPE_GENERATION
        {
            Notify (\_SB.VGEN, 0x80)
        }
    }
    Name (\_S5, Package () {PM_SLEEP_TYPE_S5, PM_SLEEP_TYPE_S5, 0, 0}) // PM1a, PM1b, which is not there
}
