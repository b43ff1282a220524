// A close look at a vCPU's exits, while the operator asks for one: how long they took, by ports,
// MSRs and guest-physical pages, and the last of them one by one. It costs time at every exit, so a
// vCPU has none unless `trace on` gave it one.
#pragma once

#include "vm/exit.h"
#include "vm/stats.h"
#include "vm/tally.h"

#define WATCH_BUCKETS 32  // bucket n counts exits of 2^n to 2^(n+1)-1 cycles
#define WATCH_ENTRIES 512 // a power of two

struct watch_entry {
    uint64_t tsc;    // of the host, at the exit
    uint64_t rip;    // where the guest went on
    uint64_t detail; // I/O: port; RDMSR, WRMSR: index; EPT violation: guest-physical address; CR
                     // access: qualification
    uint32_t reason; // basic exit reason
    uint32_t cycles; // spent in root operation
};

struct watch {
    uint64_t histogram[STATS_REASONS][WATCH_BUCKETS];
    struct tally ports;
    struct tally msrs;
    struct tally pages; // addresses of their first bytes
    uint64_t noted;     // entries, ever
    struct watch_entry entry[WATCH_ENTRIES];
};

// Notes one exit: `reason` up to STATS_OTHER; vcpu->rip must be valid. On the CPU that runs the
// vCPU.
void watch_note(struct watch *watch, const struct vcpu *vcpu, uint32_t reason,
                const struct exit *exit, uint32_t cycles);

// The entry that is `back` exits old (1: the last), or NULL if it is not kept.
const struct watch_entry *watch_entry_at(const struct watch *watch, uint64_t back);
