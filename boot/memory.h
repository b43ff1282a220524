// Memory at boot: the frame allocator over the machine's RAM, then Corbel's own page tables.
#pragma once

#include "arch/x86_64/cpu.h"
#include "boot/info/bootinfo.h"

// Takes possession of all usable RAM above 1 MiB except the image and the modules, and switches to
// Corbel's page tables. Runs on the loader's tables, below 4 GiB.
MUST_CHECK status_t memory_init(const struct boot_info *info, struct explanation *why);

// Where the log outlives a reset: always the same place of a machine, or 0. memory_init() takes it.
uint64_t memory_log_place(const struct boot_info *info);

// A page below 640 KiB for the code that other CPUs start in, or 0.
uint64_t memory_low_page(const struct boot_info *info);

// Stacks with guard pages for one CPU.
MUST_CHECK status_t memory_make_stacks(struct cpu *cpu, struct explanation *why);
