// A close look at a vCPU's exits, while the operator asks for one: by ports, MSRs and
// guest-physical pages, and the last of them one by one. It costs time at every exit, so a vCPU has
// none unless `trace on` gave it one.
//
// vmx/run.c begins an entry when the guest has exited, names the verdict when there is one, and
// ends the entry when root operation does. The monitor reads the entries meanwhile.
#pragma once

#include <stdatomic.h>

#include "vm/exit.h"
#include "vm/stats.h"
#include "vm/access_counts.h"

#define WATCH_ENTRIES 512 // a power of two
#define WATCH_CODE    15
#define WATCH_WANTED  8

enum watch_kind { WATCH_REASON, WATCH_PORT, WATCH_MSR };

// Which exits are noted: those that any of these describes; all, if there are none.
struct watch_filter {
    unsigned count;
    struct {
        enum watch_kind kind;
        uint32_t value;
    } wanted[WATCH_WANTED];
};

struct watch_entry {
    uint64_t tsc; // of the host, at the exit
    uint64_t rip; // of the instruction, or where the guest was interrupted
    uint64_t rax, rcx;
    uint64_t value; // that an MSR or a port got or gave
    uint64_t qualification;
    uint64_t linear, physical; // of the exits that have them
    uint32_t interruption_info, interruption_error;
    uint32_t instruction_info;
    uint32_t reason;   // basic exit reason
    uint32_t cycles;   // spent in root operation
    verdict_t verdict; // VERDICT_INVALID: the host's own event
    uint8_t bits;      // of the code segment: 16, 32, 64
    uint8_t length;    // of `code`: the instruction, or what stands there if none exited
    uint8_t code[WATCH_CODE];
};

struct watch {
    struct watch_filter filter;
    struct access_counts ports;
    struct access_counts msrs;
    struct access_counts pages; // addresses of their first bytes
    _Atomic uint64_t noted;     // entries, ever
    uint64_t shown;             // ... of which this many were looked at
    struct watch_entry entry[WATCH_ENTRIES];
};

// The entry that is being made; the caller fills in what the VMCS tells.
static inline struct watch_entry *watch_entry_now(struct watch *watch)
{
    return &watch->entry[atomic_load_explicit(&watch->noted, memory_order_relaxed) % WATCH_ENTRIES];
}

// Begins an entry: RIP, registers and code. Needs STATE_FLOW, STATE_CONTROL, STATE_SEGMENTS and
// what walk_missing() (vm/emulate/walk.h) names.
void watch_begin(struct watch *watch, struct vcpu *vcpu, uint32_t reason, uint64_t tsc);

// Ends it, counts it by port, MSR or page, and notes it if it is wanted.
void watch_end(struct watch *watch, const struct vcpu *vcpu, uint32_t cycles);

// Copies the entry with this number (0: the first one ever). False: it is not kept, or not yet
// made.
MUST_CHECK bool watch_read(const struct watch *watch, uint64_t number, struct watch_entry *entry);
