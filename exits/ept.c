// EPT violations: accesses to guest-physical addresses that are not mapped, which is how devices
// are reached, and to memory whose permissions the machine half has lowered. Called through
// exit_table[]. SDM: "Exit Qualification for EPT Violations", "EPT Misconfigurations".

#include "exits/handlers.h"
#include "exits/emulate.h"
#include "vm/platform.h"
#include "vm/vm.h"
#include "vm/emulate/linear.h"

#define VIOLATION_WRITE        BIT(1)
#define VIOLATION_FETCH        BIT(2)
#define VIOLATION_LINEAR_VALID BIT(7)
#define VIOLATION_TRANSLATED   BIT(8) // the access itself, not a page walk on its behalf
#define VIOLATION_UNBLOCKING   BIT(12)

static verdict_t ram_violation(struct vcpu *vcpu, const struct exit *exit)
{
    const struct vm_host *host = vcpu->vm->host;
    if (host->memory_fault && host->memory_fault(vcpu, exit->physical, exit->qualification))
        return again();
    return stop(STOP_BUG, exit->reason);
}

// The guest's paging structures or code lie where there is no memory. It reads as all ones:
// reserved bits in an entry, an undefined instruction. A kernel that does so is lost, and is better
// stopped than left in a loop of faults.
static verdict_t no_memory(struct vcpu *vcpu, const struct exit *exit)
{
    const uint64_t fetched = VIOLATION_FETCH | VIOLATION_TRANSLATED;
    if (vcpu->cpl < 3 && exit->physical.value == RESET_VECTOR &&
        (exit->qualification & fetched) == fetched)
        return stop(STOP_RESET, 0);
    if (vcpu->cpl < 3)
        return stop(STOP_BAD_MEMORY, (uint32_t)(exit->physical.value >> 12));
    if (exit->qualification & VIOLATION_TRANSLATED)
        return fault_ud();
    return fault_pf(vcpu, exit->linear.value,
                    PF_PRESENT | PF_USER | PF_RESERVED |
                        (exit->qualification & VIOLATION_WRITE ? PF_WRITE : 0));
}

static bool writes_rom(const struct vcpu *vcpu, const struct exit *exit)
{
    return (exit->qualification & VIOLATION_WRITE) &&
           gmem_is_rom(&vcpu->vm->memory, exit->physical);
}

static verdict_t serve(struct vcpu *vcpu, const struct exit *exit)
{
    bool is_walk = !(exit->qualification & VIOLATION_LINEAR_VALID) ||
                   !(exit->qualification & VIOLATION_TRANSLATED);

    if (gmem_at(&vcpu->vm->memory, exit->physical, 1) && !writes_rom(vcpu, exit))
        return ram_violation(vcpu, exit);
    if (exit->idt_info & EVENT_VALID)
        return exit_refuse_delivery(vcpu);
    if (is_walk || (exit->qualification & VIOLATION_FETCH))
        return no_memory(vcpu, exit);
    return exit_emulate(vcpu, exit);
}

// It hit an IRET that had ended the blocking of NMIs already.
static void block_nmis_again(struct vcpu *vcpu, const struct exit *exit)
{
    if (!(exit->qualification & VIOLATION_UNBLOCKING) || (exit->idt_info & EVENT_VALID))
        return;
    vcpu->interruptibility |= BLOCKING_BY_NMI;
    vcpu->dirty |= STATE_FLOW;
}

verdict_t exit_ept_violation(struct vcpu *vcpu, const struct exit *exit)
{
    verdict_t verdict = serve(vcpu, exit);
    if (verdict.kind != VERDICT_NEED)
        block_nmis_again(vcpu, exit);
    return verdict;
}

verdict_t exit_pml_full(struct vcpu *vcpu, const struct exit *exit)
{
    block_nmis_again(vcpu, exit);
    vcpu_note(vcpu, REQUEST_PML);
    return again();
}

// No entry of ours is ever malformed.
verdict_t exit_ept_misconfiguration(struct vcpu *vcpu, const struct exit *exit)
{
    return stop(STOP_BUG, exit->reason);
}
