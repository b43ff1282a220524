// The two functions by which firmware knows a Q35, as far as SeaBIOS, OVMF and Linux touch them:
// the memory controller (MCH, 00:00.0) and the bridge to the ISA devices (LPC, 00:1F.0). Intel's
// data sheets "Intel 3 Series Express Chipset Family" and "Intel I/O Controller Hub 9 (ICH9)
// Family". What lies in them holds what is written and does nothing, but for PCIEXBAR, which shows
// the ECAM at PCI_ECAM_Q35 or hides it: RAM is at C0000h to FFFFFh whatever PAM says, ACPI's ports
// are at PORT_PM1_EVENT, and interrupts go where PCI_IRQ() says, which is what both kinds of
// firmware route.
#pragma once

#include "drivers/virt/pci/vpci_function.h"

// Registers of the MCH: where the ECAM is.
#define Q35_PCIEXBAR      24
#define Q35_PCIEXBAR_HIGH 25

// Makes them what they are after power-on, but for their values.
void q35_describe_mch(struct vpci_function *mch);
void q35_describe_lpc(struct vpci_function *lpc);

// Where the MCH's registers place the ECAM (PCI_ECAM_LENGTH_Q35 bytes below 4 GiB), or 0.
uint64_t q35_ecam(const struct vpci_function *mch);
