// What others ask of a vCPU, on any CPU: requests, and signals that act in order. SDM:
// "Multiple-Processor (MP) Initialization".

#include "vm/signal.h"

#include "vm/vm.h"

void vcpu_request(struct vcpu *vcpu, uint32_t requests)
{
    // What was written before the request is seen by the loop that takes it. While one is left, the
    // loop is in root or was kicked already: many senders must not keep its CPU busy with NMIs; or
    // it waits, and what is left did not call it. A CPU that takes posted interrupts is notified of
    // them in the guest, and leaves theirs.
    uint32_t before = atomic_fetch_or(&vcpu->requests, requests);
    if ((requests & ~before) || vcpu_is_called(vcpu) || atomic_load(&vcpu->lapic.posts_notify))
        vcpu->vm->host->kick(vcpu);
}

bool vcpu_is_called(const struct vcpu *vcpu)
{
    uint32_t requests = vcpu->requests & vcpu->callers, signals = vcpu->signals;
    if (requests & ~(uint32_t)REQUEST_SIGNAL)
        return true;
    return requests && (vcpu->activity == ACTIVITY_HALTED
                            ? signals & (SIGNAL_INIT | SIGNAL_NMIS | SIGNAL_NMIS_BEHIND)
                            : signals & SIGNAL_SIPI);
}

static uint32_t with_nmi(uint32_t signals)
{
    uint32_t count = signals & SIGNAL_SIPI ? SIGNAL_NMIS_BEHIND : SIGNAL_NMIS;
    return FIELD_GET(count, signals) < 2 ? signals + FIELD_MAKE(count, 1) : signals;
}

void vcpu_send_init(struct vcpu *vcpu)
{
    atomic_store(&vcpu->signals, SIGNAL_INIT);
    vcpu_request(vcpu, REQUEST_SIGNAL);
}

void vcpu_send_sipi(struct vcpu *vcpu, uint8_t vector)
{
    uint32_t signals = atomic_load(&vcpu->signals);
    while (!(signals & SIGNAL_SIPI) &&
           !atomic_compare_exchange_weak(&vcpu->signals, &signals, signals | SIGNAL_SIPI | vector))
        ;
    vcpu_request(vcpu, REQUEST_SIGNAL);
}

void vcpu_send_nmi(struct vcpu *vcpu)
{
    uint32_t signals = atomic_load(&vcpu->signals);
    while (!atomic_compare_exchange_weak(&vcpu->signals, &signals, with_nmi(signals)))
        ;
    vcpu_request(vcpu, REQUEST_SIGNAL);
}
