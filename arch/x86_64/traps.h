// Exceptions and interrupts of the host.
#pragma once

#include "lib/bits.h"

enum { TRAP_NMI = 2, TRAP_DOUBLE_FAULT = 8, TRAP_GP = 13, TRAP_MACHINE_CHECK = 18, TRAP_USER = 32 };

// As traps.asm pushes it.
struct trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

// Fills the IDT once, before the first traps_load_idt().
void traps_init(void);
void traps_load_idt(void);

// Who serves interrupt vectors 32 to 255, taken in root by the IDT and in a guest by an exit alike.
// The function runs with interrupts off. NULL: counted as unexpected.
typedef void interrupt_handler(void);
void interrupt_set_handler(uint8_t vector, interrupt_handler *handler);
void interrupt_dispatch(uint8_t vector);

// A range of code in which an NMI must not be lost: interrupted inside [begin, end), it resumes at
// `resume`. The entry into a guest and the idle HLT register theirs.
struct nmi_window {
    const uint8_t *begin, *end, *resume;
};
void nmi_add_window(struct nmi_window window);

// An NMI taken through a VM exit leaves NMIs blocked until the next IRET: executes one.
void nmi_unblock(void);

// Sleeps until an interrupt or NMI, unless `*wake` is not 0 when interrupts are already possible.
// Returns with interrupts off.
void cpu_idle(const volatile uint32_t *wake);
