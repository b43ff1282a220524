// Called by struct vpci.
#include "drivers/virt/pci/q35.h"

#include "vm/platform.h"

#define COMMAND_DECODES  (VPCI_COMMAND_IO | VPCI_COMMAND_MEMORY | VPCI_COMMAND_MASTER)
#define COMMAND_SERR     BIT32(8)
#define PCIEXBAR_ENABLE  BIT32(0)
#define PCIEXBAR_LENGTH  UINT32_C(0x00000006) // 0: 256 MiB
#define PCIEXBAR_BASE    UINT32_C(0xf0000000)
#define PCIEXBAR_BASE_64 UINT32_C(0x0000000f) // of the high half
#define PAM_FIRST        36                   // 90h to 96h, a byte a range of addresses
#define PAM_RAM          UINT32_C(0x33333333) // reads and writes: two bits each
#define LPC_PMBASE       16
#define LPC_PMBASE_BASE  UINT32_C(0x0000ff80)
#define LPC_PMBASE_PORTS BIT32(0) // fixed
#define LPC_ACPI_CONTROL 17
#define LPC_ACPI_ENABLE  BIT32(7)
#define LPC_PIRQ_A       24 // to D, a byte each; E to H
#define LPC_PIRQ_E       26
#define LPC_PIRQ_OFF     UINT32_C(0x80808080)
#define LPC_PIRQ_ROUTE   UINT32_C(0x8f8f8f8f)
#define LPC_RCBA         60
#define LPC_RCBA_BASE    UINT32_C(0xffffc001)

static const struct vpci_header mch_header = {
    .reset = {[VPCI_ID] = 0x29c08086, [VPCI_CLASS] = 0x06000000},
    .writable = {[VPCI_COMMAND] = COMMAND_DECODES | COMMAND_SERR, [VPCI_INTERRUPT] = 0xff}};

static const struct vpci_header lpc_header = {
    .reset = {[VPCI_ID] = 0x29188086, [VPCI_COMMAND] = COMMAND_DECODES, [VPCI_CLASS] = 0x06010002},
    .writable = {[VPCI_COMMAND] = COMMAND_DECODES | COMMAND_SERR}};

void q35_describe_mch(struct vpci_function *mch)
{
    vpci_function_describe(mch, &mch_header);
    mch->writable[Q35_PCIEXBAR] = PCIEXBAR_BASE | PCIEXBAR_LENGTH | PCIEXBAR_ENABLE;
    mch->writable[Q35_PCIEXBAR_HIGH] = PCIEXBAR_BASE_64;
    mch->writable[PAM_FIRST] = PAM_RAM;
    mch->writable[PAM_FIRST + 1] = PAM_RAM & 0x00ffffff;
}

void q35_describe_lpc(struct vpci_function *lpc)
{
    vpci_function_describe(lpc, &lpc_header);
    lpc->reset[LPC_PMBASE] = LPC_PMBASE_PORTS;
    lpc->writable[LPC_PMBASE] = LPC_PMBASE_BASE;
    lpc->writable[LPC_ACPI_CONTROL] = LPC_ACPI_ENABLE;
    lpc->reset[LPC_PIRQ_A] = lpc->reset[LPC_PIRQ_E] = LPC_PIRQ_OFF;
    lpc->writable[LPC_PIRQ_A] = lpc->writable[LPC_PIRQ_E] = LPC_PIRQ_ROUTE;
    lpc->writable[LPC_RCBA] = LPC_RCBA_BASE;
}

uint64_t q35_ecam(const struct vpci_function *mch)
{
    uint32_t low = mch->value[Q35_PCIEXBAR];
    bool is_ours =
        low & PCIEXBAR_ENABLE && !(low & PCIEXBAR_LENGTH) && !mch->value[Q35_PCIEXBAR_HIGH];
    return is_ours ? low & PCIEXBAR_BASE : 0;
}
