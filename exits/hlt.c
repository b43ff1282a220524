// Instructions by which a guest says that it has nothing urgent to do. MONITOR and MWAIT are not
// among them: CPUID hides them, so they are refused. Called through exit_table[]. SDM: "HLT-Halt",
// "PAUSE-Spin Loop Hint".

#include "exits/handlers.h"
#include "vm/vcpu.h"

// The run loop steps over it first: an interrupt that arrives returns behind the HLT.
verdict_t exit_hlt(struct vcpu *vcpu, const struct exit *exit)
{
    return wait();
}

verdict_t exit_pause(struct vcpu *vcpu, const struct exit *exit)
{
    return yield();
}
