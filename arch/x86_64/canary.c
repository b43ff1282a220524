// Names that the compiler knows: see canary.h.

#include "arch/x86_64/canary.h"

#include "arch/x86_64/tsc.h"
#include "lib/bits.h"
#include "lib/panic.h"

extern uint64_t __stack_chk_guard;
__attribute__((noreturn)) void __stack_chk_fail(void);

uint64_t __stack_chk_guard = UINT64_C(0x5bd1e995c3a5d700);

__attribute__((no_stack_protector)) void canary_init(void)
{
    // A zero byte comes first: what a string's end overwrites cannot restore it.
    __stack_chk_guard ^= (rdtsc() * UINT64_C(0x9e3779b97f4a7c15)) << 8;
}

void __stack_chk_fail(void)
{
    panic("a function wrote beyond its part of the stack");
}
