// One physical (logical) processor: its descriptor tables, stacks and what is private to it. GS
// points at it.
#pragma once

#include <stdatomic.h>

#include "lib/bits.h"

#define CPUS           128
#define STACK_SIZE     UINT64_C(16384)
#define IST_STACK_SIZE UINT64_C(8192)

#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10
#define SELECTOR_TSS  0x18

#define VECTOR_TIMER    0xf0 // local APIC timer: wakes an idle CPU
#define VECTOR_PIC      0x20 // sixteen, for what the masked 8259s may still deliver
#define VECTOR_UART     0xe0
#define VECTOR_POSTED   0xf1 // posted interrupts: the notification
#define VECTOR_SPURIOUS 0xff

struct tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3;
    uint16_t io_map_base;
} __attribute__((packed));
_Static_assert(sizeof(struct tss) == 104, "the TSS is the manual's");

enum { IST_NONE, IST_NMI, IST_DOUBLE_FAULT, IST_MACHINE_CHECK, IST_STACKS = IST_MACHINE_CHECK };

// What a CPU is suspected of by control/host_watch.c.
enum charge { CHARGE_NONE, CHARGE_ASKED, CHARGE_STUCK };

struct cpu {
    struct cpu *self; // first: read through GS
    uint32_t index;   // 0 is the CPU that booted
    uint32_t apic_id;
    uint64_t gdt[5];
    struct tss tss;
    uint64_t stack_top; // of the stack that it is on: STACK_SIZE above a page that is not mapped
    _Atomic bool online;
    _Atomic uint32_t charge; // enum charge
    void *vmx;               // struct vmx_cpu
};

extern struct cpu cpus[CPUS];
extern unsigned cpu_count; // known and numbered, online or not

unsigned cpu_online_count(void);

static inline struct cpu *this_cpu(void)
{
    struct cpu *cpu;
    __asm__("mov %%gs:0, %0" : "=r"(cpu));
    return cpu;
}

// Loads GDT, TSS, IDT and GS of this CPU. Its stacks (stack_top, tss.ist) must be filled in.
void cpu_load_tables(struct cpu *cpu);

// CR0, CR4, EFER and PAT as Corbel wants them on each CPU: caches on, WP, NX, OSFXSR, OSXSAVE.
void cpu_set_modes(void);

// Firmware had NX switched off: each CPU must switch it on before it enters long mode.
extern bool cpu_nx_was_off;

// The XCR0 with every state component of guests that all CPUs have that were noted (features.h) and
// this one has, or 0 without XSAVE; and the size of its image.
uint64_t cpu_xcr0(void);
uint32_t cpu_xsave_size(void);

// CPUs are threads of one core if their APIC ids agree from this bit on.
unsigned cpu_core_shift(void);

// The first in cpus[] that is a thread of the same core as this one.
unsigned cpu_first_of_core(unsigned index);
