// The exits that Corbel does without unless somebody wants to see them: what `trap =` of vms.conf
// names. vm/config_trap.c reads the words, vmx/choice.c turns them into controls.
#pragma once

#include "lib/bits.h"

enum trap {
    TRAP_DESCRIPTOR_TABLES = BIT32(0), // SGDT, SIDT, LGDT, LIDT, SLDT, STR, LLDT, LTR
    TRAP_INVLPG = BIT32(1),            // and INVPCID
    TRAP_RDTSC = BIT32(2),             // and RDTSCP
    TRAP_RDPMC = BIT32(3),
    TRAP_CR3_LOAD = BIT32(4),
    TRAP_CR3_STORE = BIT32(5),
    TRAP_CR8_LOAD = BIT32(6),
    TRAP_CR8_STORE = BIT32(7),
    TRAP_MOV_DR = BIT32(8),
    TRAP_PAUSE = BIT32(9),
    TRAP_HLT = BIT32(10),
    TRAP_WBINVD = BIT32(11),
    TRAP_MONITOR = BIT32(12),
    TRAP_MWAIT = BIT32(13),
    TRAP_RDRAND = BIT32(14),
    TRAP_RDSEED = BIT32(15),
    TRAP_IO = BIT32(16),
    TRAP_MSR = BIT32(17),
    TRAP_EVERY = BIT32(18) - 1,
    TRAP_IF_POSSIBLE = BIT32(31), // what this CPU has no control for is left out
};
