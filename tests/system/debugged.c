// What a debugger is tried on: known code, data and threads.
#include "tests/guests/lib/guest.h"
#include "tests/guests/lib/smp.h"
#include "tests/guests/lib/cpu.h"
#include "tests/system/neighbour.h"

#define NOINLINE __attribute__((noinline, noclone))

void step_here(void);
void each_round(void);

volatile uint64_t rounds, watched, other_rounds;
volatile uint8_t breakpoints_of_its_own;

// Instructions of both kinds, those that exit and those that do not.
NOINLINE void step_here(void)
{
    __asm__ volatile("steps: mov $0x1234, %%eax\n\t"
                     "nop\n\t"
                     "step_cpuid: cpuid\n\t"
                     "step_behind: nop\n\t"
                     "jmp 1f\n\t"
                     "1: nop"
                     :
                     :
                     : "eax", "ebx", "ecx", "edx");
}

NOINLINE void each_round(void)
{
    rounds++;
    step_here();
    if (rounds % 4 == 0)
        watched = rounds;
}

// Its own INT3, which must reach it.
static void note_breakpoint(struct trap_frame *frame)
{
    (void)frame;
    breakpoints_of_its_own++;
}

static void run_beside(void)
{
    for (;;)
        other_rounds++;
}

void be_debugged(void)
{
    trap_handlers[3] = note_breakpoint;
    if (smp_start(1))
        smp_begin(1, run_beside);
    say("ready to be debugged\n");
    while (!is_over()) {
        each_round();
        __asm__ volatile("int3");
    }
}
