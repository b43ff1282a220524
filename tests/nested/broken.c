// A guest whose memory breaks: the case `machine-check` of tests/nested/run has the machine below
// raise a machine check while it turns in a loop, known by RBX. It is told of it and goes on; the
// second time it does not want to know.
#include "tests/guests/lib/interrupts.h"

#define CR4_MCE        BIT(6)
#define VECTOR_MC      18
#define MSR_MCG_STATUS 0x17a
#define MSR_MC1        0x404
#define IN_LOOP        UINT64_C(0xb0b0b0b0)

static uint8_t page[4096] __attribute__((aligned(4096)));
static volatile uint32_t told;

// The page is as good as ever, but its owner must not believe that.
static void note(struct trap_frame *frame)
{
    uint64_t status = read_msr(MSR_MC1 + 1), address = read_msr(MSR_MC1 + 2);
    say("told: global %lx status %016lx address %#lx misc %lx, in the loop: %s\n",
        read_msr(MSR_MCG_STATUS), status, address, read_msr(MSR_MC1 + 3),
        frame->rbx == IN_LOOP ? "yes" : "no");
    for (uint32_t i = 1; i < 4; i++)
        write_msr(MSR_MC1 + i, 0);
    write_msr(MSR_MCG_STATUS, 0);
    told++;
}

static void turn(const char *what)
{
    uint32_t before = told;
    say("turns: %s at %#lx\n", what, (uint64_t)(uintptr_t)page);
    __asm__ volatile("1: cmp %1, %0; je 1b" : : "m"(told), "r"(before), "b"(IN_LOOP) : "cc");
}

void guest_main(uint32_t magic, uint64_t information)
{
    (void)magic;
    (void)information;
    trap_handlers[VECTOR_MC] = note;
    pic_init();
    enable_interrupts(); // else the emulator below keeps all others from their time
    write_cr4(read_cr4() | CR4_MCE);
    turn("hurt");
    say("goes on\n");
    write_cr4(read_cr4() & ~CR4_MCE);
    turn("deaf");
    say("told although CR4.MCE is clear\n");
    guest_power_off();
}
