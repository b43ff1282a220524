// The segments of a task that begins. For exits/task.c alone.
#pragma once

#include "vm/emulate/descriptor.h"

struct task_selectors {
    uint16_t segment[6]; // ES to GS; a 16-bit task has no FS and GS, which become null
    uint16_t ldt;
};

// Flags that a TSS can set.
#define TASK_FLAGS                                                                                 \
    (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_TF | RFLAGS_IF |           \
     RFLAGS_DF | RFLAGS_OF | RFLAGS_IOPL | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM | RFLAGS_AC |         \
     RFLAGS_VIF | RFLAGS_VIP | RFLAGS_ID)

// Loads LDTR, then CS, SS, DS, ES, FS, GS, by the rules of a task switch; vcpu->rflags is the new
// task's. False: *fault is #TS, #NP or #SS, to be delivered in the new task; segments not yet
// loaded are then unusable.
MUST_CHECK bool task_load_segments(struct vcpu *vcpu, const struct task_selectors *selectors,
                                   uint64_t now, verdict_t *fault);
