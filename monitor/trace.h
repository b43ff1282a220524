// One exit as one line: who, where, what was executed, why it exited and what was decided.
#pragma once

#include "lib/print.h"
#include "vm/vm.h"
#include "vm/watch.h"

#define TRACE_LINE 200

// Formats the line, with its newline, into `line`. Returns its length.
size_t trace_format(char line[TRACE_LINE], const struct vcpu *vcpu,
                    const struct watch_entry *entry);

// How many lines may be printed still, of all vCPUs together.
struct trace_budget {
    uint64_t renewed; // seconds
    unsigned left;
};

// Prints what the VM's watched vCPUs have noted since the last call, within the budget, and how
// many exits had no room in it. Call it often; `now` in nanoseconds.
void trace_attend(struct printer *to, const struct vm *vm, struct trace_budget *budget,
                  uint64_t now);
