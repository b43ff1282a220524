// Interrupts as small guests use them: the local APIC in both of its modes, the I/O APIC, the 8259
// pair, and handlers that count.
#pragma once

#include "tests/guests/lib/guest.h"

#define APIC_ID            0x020
#define APIC_VERSION       0x030
#define APIC_TPR           0x080
#define APIC_PPR           0x0a0
#define APIC_EOI           0x0b0
#define APIC_LDR           0x0d0
#define APIC_SVR           0x0f0
#define APIC_ISR           0x100
#define APIC_TMR           0x180
#define APIC_IRR           0x200
#define APIC_ESR           0x280
#define APIC_ICR           0x300
#define APIC_ICR_HIGH      0x310
#define APIC_LVT_TIMER     0x320
#define APIC_LVT_LINT0     0x350
#define APIC_LVT_ERROR     0x370
#define APIC_INITIAL_COUNT 0x380
#define APIC_CURRENT_COUNT 0x390
#define APIC_DIVIDE        0x3e0
#define APIC_SELF_IPI      0x3f0

#define APIC_ADDRESS      ((volatile void *)UINT64_C(0xfee00000))
#define MSR_APIC_BASE     0x1b
#define MSR_TSC_DEADLINE  0x6e0
#define MSR_X2APIC        0x800
#define APIC_BASE_ENABLE  BIT(11)
#define APIC_BASE_X2APIC  BIT(10)
#define LVT_MASKED        BIT32(16)
#define LVT_PERIODIC      BIT32(17)
#define LVT_TSC_DEADLINE  BIT32(18)
#define ICR_NMI           0x400
#define ICR_INIT          0x500
#define ICR_STARTUP       0x600
#define ICR_ASSERT        0x4000
#define ICR_SELF          0x40000
#define ICR_ALL           0x80000
#define ICR_OTHERS        0xc0000
#define TIMER_DIVIDE_BY_1 0xb

// The mode in which the functions below reach the local APIC. apic_set_mode() switches this CPU's.
extern bool apic_is_x2;
void apic_set_mode(bool x2apic);

uint32_t apic_read(unsigned offset);
void apic_write(unsigned offset, uint32_t value);
void apic_send(uint32_t destination, uint32_t command);

// Bit `vector` of ISR, TMR or IRR.
bool apic_bit(unsigned offset, uint8_t vector);

// Registers of the I/O APIC, and the entry of an input.
uint32_t ioapic_read(unsigned index);
void ioapic_write(unsigned index, uint32_t value);
void ioapic_route(unsigned input, uint64_t entry);
#define IOAPIC_LEVEL  BIT(15)
#define IOAPIC_MASKED BIT(16)

// Vectors 20H to 2FH, all masked; and the mask, a bit for each of the 16 inputs.
void pic_init(void);
void pic_mask(uint16_t mask);

// Channel 0 of the timer: mode 2 at `hertz`.
void pit_start(unsigned hertz);
void pit_stop(void);

// Channel 2, which interrupts nobody, counts down from FFFFH; and how far it has come.
void pit_count_begin(void);
unsigned pit_count(void);

// Handlers that count in taken[vector], note the order in taken_order[], and send an EOI: to the
// local APIC, or to the 8259s for vectors 20H to 2FH, none for NMI.
extern volatile unsigned taken[256];
extern volatile uint8_t taken_order[32];
extern volatile unsigned taken_total;
extern volatile uint64_t taken_rip; // where the last one interrupted
void count_vector(uint8_t vector);
void forget_taken(void);

// Enables interrupts until taken[vector] reaches `count`, at most for some 20 ms of PM timer.
// Whether it did.
bool wait_taken(uint8_t vector, unsigned count);

// Ticks of the PM timer (24 bits), and waiting for so many.
#define PM_TICKS_MS 3580
uint32_t pm_ticks(void);
uint32_t pm_since(uint32_t start);
void pm_wait(uint32_t ticks);
