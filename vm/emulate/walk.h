// The guest's page walk in software: a linear address to a guest-physical one, with the access
// rights and the accessed and dirty flags that the CPU would honour. SDM: "Paging", all modes:
// none, 32-bit, PAE, 4-level, 5-level.
#pragma once

#include "vm/vcpu.h"

// What an access wants; a combination. None of them: a supervisor's explicit data read.
enum walk_access {
    WALK_WRITE = BIT32(0),
    WALK_USER = BIT32(1),  // a user-mode access
    WALK_FETCH = BIT32(2), // of an instruction
    // a supervisor's access to a system structure: EFLAGS.AC does not lift SMAP
    WALK_IMPLICIT = BIT32(3),
};

// Error code of #PF.
#define PF_PRESENT  BIT32(0)
#define PF_WRITE    BIT32(1)
#define PF_USER     BIT32(2)
#define PF_RESERVED BIT32(3)
#define PF_FETCH    BIT32(4)
#define PF_KEY      BIT32(5)

// A paging-structure entry whose accessed or dirty flag has still to be set.
struct walk_mark {
    gpa_t at;
    uint64_t seen;
    uint64_t marked;
};

struct walk {
    gpa_t physical;
    unsigned entry_size; // bytes
    unsigned marks;
    struct walk_mark mark[5];
};

// The groups of state that a walk reads and that are not fetched yet; 0: walk. Ask it before the
// first walk of an exit.
uint32_t walk_missing(const struct vcpu *vcpu);

// Translates one address. Changes nothing but, on #PF, CR2. False: *fault is #PF, or the VM's end
// where the paging structures do not lie in RAM.
MUST_CHECK bool walk_linear(struct vcpu *vcpu, gva_t linear, uint32_t access, struct walk *walk,
                            verdict_t *fault);

// Sets the accessed and dirty flags that the walk found clear; call it when the access is certain
// to happen, before it happens. False: an entry was changed meanwhile, so the translation may be
// stale: run the instruction again.
MUST_CHECK bool walk_mark(const struct vcpu *vcpu, const struct walk *walk);
