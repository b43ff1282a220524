// The IDT and what the host does on each vector. An exception in root operation is our bug (MSR
// probes apart): it prints the machine's state and stops.

#include "arch/x86_64/traps.h"

#include "arch/x86_64/apic.h"
#include "arch/x86_64/cpu.h"
#include "arch/x86_64/machine_check.h"
#include "arch/x86_64/panic.h"
#include "arch/x86_64/registers.h"
#include "lib/panic.h"

struct gate {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
};
_Static_assert(sizeof(struct gate) == 16, "a gate is 16 bytes");

#define GATE_INTERRUPT 0x8e

extern const uint64_t trap_stubs[256];
extern const uint8_t idle_window_begin[], idle_window_end[], idle_window_resume[];
// The rows of FIXUP() (registers.h), from the linker: distances from where they stand.
extern const struct fixup {
    int32_t rip, resume;
} fixups_start[], fixups_end[];

void trap_handle(struct trap_frame *frame);

static struct gate idt[256];
static interrupt_handler *handlers[256];
static _Atomic uint64_t unexpected;
static struct nmi_window windows[8];
static unsigned window_count;

void nmi_add_window(struct nmi_window window)
{
    assert(window_count < ARRAY_LENGTH(windows));
    windows[window_count++] = window;
}

void traps_init(void)
{
    for (unsigned vector = 0; vector < 256; vector++) {
        uint64_t offset = trap_stubs[vector];
        idt[vector] = (struct gate){
            .offset_low = (uint16_t)offset,
            .selector = SELECTOR_CODE,
            .ist = vector == TRAP_NMI             ? IST_NMI
                   : vector == TRAP_DOUBLE_FAULT  ? IST_DOUBLE_FAULT
                   : vector == TRAP_MACHINE_CHECK ? IST_MACHINE_CHECK
                                                  : IST_NONE,
            .type = GATE_INTERRUPT,
            .offset_middle = (uint16_t)(offset >> 16),
            .offset_high = (uint32_t)(offset >> 32),
        };
    }
    nmi_add_window((struct nmi_window){idle_window_begin, idle_window_end, idle_window_resume});
}

void traps_load_idt(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) idtr = {sizeof(idt) - 1, (uintptr_t)idt};
    __asm__ volatile("lidt %0" : : "m"(idtr));
}

void interrupt_set_handler(uint8_t vector, interrupt_handler *handler)
{
    handlers[vector] = handler;
}

void interrupt_dispatch(uint8_t vector)
{
    if (handlers[vector]) {
        handlers[vector]();
        return;
    }
    atomic_fetch_add_explicit(&unexpected, 1, memory_order_relaxed);
    if (vector != VECTOR_SPURIOUS)
        apic_eoi(); // else it would hold back all that are not above it
}

// An NMI is a kick: "look at your requests". The code that has just looked must look again.
static void handle_nmi(struct trap_frame *frame)
{
    if (panic_in_progress())
        panic_halt();
    if (this_cpu()->charge == CHARGE_STUCK)
        panic_trap(frame);
    for (unsigned i = 0; i < window_count; i++) {
        uint64_t begin = (uintptr_t)windows[i].begin, end = (uintptr_t)windows[i].end;
        if (frame->rip >= begin && frame->rip < end)
            frame->rip = (uintptr_t)windows[i].resume;
    }
}

static void handle_machine_check(const struct trap_frame *frame)
{
    struct mca_bank consumed;
    if (panic_in_progress())
        panic_halt();
    if (machine_check_serve(false, &consumed) != MCA_GO_ON)
        panic_trap(frame);
}

static bool fix_up(struct trap_frame *frame)
{
    if (frame->vector != TRAP_GP)
        return false;
    for (const struct fixup *row = fixups_start; row < fixups_end; row++)
        if ((uintptr_t)&row->rip + (uint64_t)row->rip == frame->rip) {
            frame->rip = (uintptr_t)&row->resume + (uint64_t)row->resume;
            return true;
        }
    return false;
}

void trap_handle(struct trap_frame *frame)
{
    if (frame->vector >= TRAP_USER)
        interrupt_dispatch((uint8_t)frame->vector);
    else if (frame->vector == TRAP_NMI)
        handle_nmi(frame);
    else if (frame->vector == TRAP_MACHINE_CHECK)
        handle_machine_check(frame);
    else if (!fix_up(frame))
        panic_trap(frame);
}
