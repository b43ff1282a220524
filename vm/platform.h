// The guest's board on paper: ports, interrupt inputs and memory addresses that the devices
// (drivers/virt), the ACPI tables (loaders) and the memory map must agree on. It is a small PC: two
// 8259s, one I/O APIC, ACPI hardware registers, a PCI bus with little on it. The comments give the
// length where it is not one port.
#pragma once

#include "lib/bits.h"

// Ports of the ISA devices.
#define PORT_DMA1        0x00 // 16: channels 0-3
#define PORT_PIC_MASTER  0x20 // 2
#define PORT_PIC_SLAVE   0xa0 // 2
#define PORT_PIT         0x40 // 4
#define PORT_KBD_DATA    0x60
#define PORT_SYSTEM_B    0x61 // speaker, gate of timer 2, refresh toggle
#define PORT_KBD_COMMAND 0x64 // and status
#define PORT_RTC         0x70 // 2 (index, data); 72h and 73h reach the same chip
#define PORT_DMA_PAGE    0x80 // 16; 80h itself is the POST code
#define PORT_SYSTEM_A    0x92 // A20 gate and fast reset
#define PORT_DMA2        0xc0 // 32: channels 4-7, every second port
#define PORT_DELAY       0xed
#define PORT_COM1        0x3f8 // 8 each
#define PORT_COM2        0x2f8
#define PORT_ELCR        0x4d0  // 2
#define PORT_FW_CFG      0x510  // 12: selector (word), data (byte at 511h), DMA (at 514h)
#define PORT_PCI_ADDRESS 0xcf8  // 4, dword accesses
#define PORT_RESET       0xcf9  // one byte inside the address register
#define PORT_PCI_DATA    0xcfc  // 4
#define PORT_PCI_WINDOW  0x6000 // to the last port: where PCI functions can have some
#define PORT_PCI_PLACES  0xc000 // ... and without firmware have them; test functions first

// Ports of the test devices, QEMU's numbers.
#define PORT_TEST_DATA  0xe0 // 4: what is written is read back
#define PORT_PAGE_FLUSH 0xe4 // 4: the page at the address written must be mapped anew
#define PORT_TEST_ALIAS 0xe8 // 4: the data again, but for E9h
#define PORT_DEBUG      0xe9 // debug console
#define PORT_DEBUG_EXIT 0xf4 // 4: a write ends the VM with its value
#define PORT_DIRTY_LOG                                                                             \
    0xf8 // 4: 1 begins the log of written pages, 0 ends it, an address chooses a
         // page: was it written since it was last asked for?
#define PORT_TEST_LINES 0x2000 // VIOAPIC_PINS: the level of each interrupt input
#define PORT_SHUTDOWN   0x8900 // the letters of "Shutdown" power the VM off

// ACPI hardware registers, as the FADT says.
#define PORT_PM1_EVENT   0x600 // 4: PM1a status and enable
#define PORT_PM1_CONTROL 0x604 // 2
#define PORT_PM_TIMER    0x608 // 4
#define PM_TIMER_HZ      3579545
#define PM_TIMER_BITS    24    // FADT: TMR_VAL_EXT clear
#define PORT_GPE0        0x620 // 4: two status bytes, two enable bytes
#define GPE0_LENGTH      4
#define GPE_GENERATION   0     // the event: there is a new VM generation ID
#define PORT_SMI_ENABLE  0x630 // 4: there is no SMI, and it is said to be set up
#define PORT_SMI_COMMAND 0     // FADT SMI_CMD: there is none, ACPI mode is always on
#define PM_SLEEP_TYPE_S5 0     // \_S5 in the DSDT: SLP_TYPa
#define RESET_VALUE      0x06  // FADT RESET_VALUE for the reset register at PORT_RESET

// ISA interrupts. Each goes to the 8259 of its number and to the same input of the I/O APIC, timer
// 0 apart.
#define IRQ_PIT      0
#define IRQ_KEYBOARD 1
#define IRQ_CASCADE  2 // of the 8259s: no device's
#define IRQ_COM2     3
#define IRQ_COM1     4
#define IRQ_RTC      8
#define IRQ_SCI      9  // level-triggered, active high
#define IRQ_PCI_AB   10 // INTA of the slots, level-triggered; shared
#define IRQ_PCI_CD   11
#define IRQ_MOUSE    12
#define ISA_IRQS     16
#define GSI_PIT      2 // MADT: interrupt source override of IRQ 0, edge, active high

// The I/O APIC and the local APICs.
#define MMIO_IOAPIC        UINT64_C(0xfec00000)
#define MMIO_IOAPIC_LENGTH UINT64_C(0x1000)
#define MMIO_LAPIC         UINT64_C(0xfee00000)
#define MMIO_LAPIC_LENGTH  UINT64_C(0x1000)
#define MMIO_GENERATION    UINT64_C(0xfef00000) // 4 KiB with the VM generation ID
#define MMIO_TEST          UINT64_C(0xff000000) // with the test devices
#define MMIO_TEST_LENGTH   UINT64_C(0x10000)

// RAM: from 0 up to at most LOW_MEMORY_END; the rest of a large VM's memory begins at 4 GiB. What
// lies between is for PCI, the APICs, and the ROM of firmware, which ends at 4 GiB.
#define LOW_MEMORY_END     UINT64_C(0xc0000000)
#define LOW_MEMORY_END_Q35 UINT64_C(0xb0000000) // of a VM with firmware: the ECAM is there
#define FIRMWARE_ROM       UINT64_C(0x00400000) // bytes below 4 GiB
#define HIGH_MEMORY_START  UINT64_C(0x100000000)

// Where the boot processor begins after a reset or INIT: in the firmware, or there is none, and to
// come here resets the VM.
#define RESET_VECTOR UINT64_C(0xfffffff0)

// The PCI bus: a host bridge and what the VM's description asks for. Without firmware, the board
// places what they decode, below the ECAM; firmware does it from either end, and has its ECAM where
// its RAM ends.
#define PCI_MMIO_START      UINT64_C(0xc0000000)
#define PCI_MMIO_END        UINT64_C(0xfebfffff) // inclusive
#define PCI_ECAM            UINT64_C(0xfc000000) // of one bus, without firmware
#define PCI_BEFORE_ECAM     UINT64_C(0xfbffffff)
#define PCI_BEHIND_ECAM     UINT64_C(0xfc100000)
#define PCI_ECAM_LENGTH     UINT64_C(0x100000)
#define PCI_ECAM_Q35        LOW_MEMORY_END_Q35
#define PCI_ECAM_LENGTH_Q35 UINT64_C(0x10000000) // of 256

#define PCI_TEST_SLOT   3
#define PCI_FIRST_SLOT  4 // of what a VM's description asks for
#define PCI_LAST_SLOT   24
#define PCI_LPC_SLOT    31                                   // of a board with firmware
#define PCI_IRQ(slot)   ((slot)&2 ? IRQ_PCI_CD : IRQ_PCI_AB) // as firmware routes a Q35's PIRQs
#define PCI_TEST_MEMORY 0xfbf00000                           // where it is after power-on
#define PCI_TEST_PORTS  PORT_PCI_PLACES
