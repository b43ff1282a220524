// Events of one vCPU, for the tests of what is injected.
#pragma once

#include "tests/unit/apics.h"

#define EXCEPTION(vector)      (EVENT_VALID | EVENT_EXCEPTION << 8 | (vector))
#define EXCEPTION_CODE(vector) (EXCEPTION(vector) | EVENT_HAS_ERROR)
#define EXTERNAL(vector)       (EVENT_VALID | (vector))
#define NMI                    (EVENT_VALID | EVENT_NMI << 8 | 2)

static struct vcpu *const cpu = &vcpus[0];

// In protected mode with open interrupts; APIC enabled, LINT0 closed.
static inline int running_vm(void **state)
{
    enabled_vm(state);
    cpu->cr0 |= CR0_PE;
    cpu->rflags |= RFLAGS_IF;
    cpu->dirty = 0;
    return 0;
}

static inline void interrupt_with(uint32_t info, uint32_t error, uint32_t length)
{
    struct exit exit = {.idt_info = info, .idt_error = error, .instruction_length = length};
    event_take_interrupted(cpu, &exit);
}
