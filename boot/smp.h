// Waking the other CPUs. SDM: "MP Initialization Protocol".
#pragma once

#include "arch/x86_64/cpu.h"
#include "boot/info/bootinfo.h"

// Starts every CPU of cpus[1..cpu_count-1] by INIT-SIPI-SIPI. One that does not come up in time
// stays offline and gets a line in the log. Each runs `entry` on its own stack, tables loaded.
void smp_start(const struct boot_info *info, uint64_t tsc_hz, void (*entry)(struct cpu *));

// Called by the trampoline on each of them.
__attribute__((noreturn)) void ap_main(struct cpu *cpu);
