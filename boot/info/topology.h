// Which of the machine's CPUs are used, and in what order. Pure; called once, before they are
// started.
#pragma once

#include "arch/x86_64/cpu.h"
#include "lib/notes.h"

struct topology_rules {
    uint32_t own;        // APIC id of the CPU that runs: number 0
    unsigned core_shift; // threads of a core have the same APIC id from this bit on
    bool has_x2apic;
    bool nosmt; // one thread of a core alone
};

// `listed`: APIC ids. Fills in those of CPUs 0 and on; returns how many. Those that are left out
// are noted.
unsigned topology_choose(const struct topology_rules *rules, const uint32_t *listed, unsigned count,
                         uint32_t apic_id[CPUS], struct notes *notes);
