// From CPUs to CPUs in VMX root operation: capabilities of each, their intersection, what is used
// of it, VMXON.
#pragma once

#include "lib/status.h"

struct cpu;
struct boot_options;

// What each other CPU does from its start on: reports its capabilities, waits for
// vmx_start_enter(), enters VMX root operation and its loop.
void vmx_start_cpu(struct cpu *cpu);

// Collects the capabilities of all CPUs and chooses, honouring features= and mitigations=.
// STATUS_OK: Corbel can run here. STATUS_UNSUPPORTED: what is missing has been printed, a line each
// with its remedy. STATUS_NOT_FOUND: a word of the option is unknown (printed).
MUST_CHECK status_t vmx_start_choose(const struct boot_options *options);

// VMXON on this CPU, then on all others, which go on to their loops.
MUST_CHECK status_t vmx_start_enter(struct explanation *why);
