// The I/O APIC: 24 inputs, each sent to the local APICs as its redirection entry says.
// 82093AA datasheet: "I/O Advanced Programmable Interrupt Controller". Wired in
// drivers/virt/board.c.
#pragma once

#include "vm/bus.h"

struct vm;

#define VIOAPIC_PINS    24
#define VIOAPIC_VERSION 0x11 // without an EOI register of its own

// Fields of a redirection entry.
#define VIOAPIC_VECTOR      BITS(7, 0)
#define VIOAPIC_MODE        BITS(10, 8)
#define VIOAPIC_LOGICAL     BIT(11)
#define VIOAPIC_REMOTE_IRR  BIT(14)
#define VIOAPIC_LEVEL       BIT(15)
#define VIOAPIC_MASKED      BIT(16)
#define VIOAPIC_DESTINATION BITS(63, 56)

struct vioapic {
    struct vdev device;
    uint8_t id;
    uint8_t select;  // IOREGSEL
    uint32_t inputs; // bit n: input n is asserted
    uint64_t redirection[VIOAPIC_PINS];
};

// The state after power-on, version 11H: all pins masked. Its MMIO region is VIOAPIC_BASE,
// VIOAPIC_SIZE.
extern const struct vdev_class vioapic_class;

// The level of an input, for struct irq_line. Any CPU may call it. Inputs from 24 are ignored.
void vioapic_set(void *ioapic, unsigned input, bool level);

// An EOI broadcast from a local APIC, for struct vm_irqchip: frees the level-triggered pins of this
// vector and sends again those that are still asserted.
void vioapic_eoi(void *ioapic, uint8_t vector);
