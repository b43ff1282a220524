// What a VM's description says that the VM itself, its exits and its devices have to know. Set at
// its making, constant while it lives.
#pragma once

#include "lib/uuid.h"
#include "vm/platform.h"
#include "vm/stats.h"

// What the boot processor finds at its reset vector. With any, the board is a Q35.
enum vm_firmware {
    FIRMWARE_NONE, // the loader does its work: a kernel is in memory
    FIRMWARE_SEABIOS,
    FIRMWARE_OVMF,
};

enum msr_unknown {
    MSR_UNKNOWN_GP,     // as on a board: #GP
    MSR_UNKNOWN_IGNORE, // reads are zero, writes have no effect
};

// Whether the VM has a balloon, and its guest may take pages back from it unasked when it runs out
// of memory.
enum balloon_mode { BALLOON_OFF, BALLOON_ON, BALLOON_AUTODEFLATE };

// What exit_stats asks for. EXIT_STATS_PRINT is the table at the VM's end.
enum exit_stats_mode { EXIT_STATS_OFF, EXIT_STATS_PRINT, EXIT_STATS_CPUID };

// The exits that Corbel does without unless somebody wants to see them: the names of vms.conf's
// `trap`, the control that is set, and the one that is cleared lest it have no effect (in the words
// of vmx/policy/controls.h). The descriptor tables' are SGDT to LTR, INVLPG's INVPCID too, RDTSC's
// RDTSCP.
// clang-format off
#define VM_TRAPS(TRAP) \
    TRAP(DESCRIPTOR_TABLES, "descriptor_tables", SECONDARY, SECONDARY_DESCRIPTOR_TABLE_EXITING, 0) \
    TRAP(INVLPG, "invlpg", PRIMARY, PRIMARY_INVLPG_EXITING, 0) \
    TRAP(RDTSC, "rdtsc", PRIMARY, PRIMARY_RDTSC_EXITING, 0) \
    TRAP(RDPMC, "rdpmc", PRIMARY, PRIMARY_RDPMC_EXITING, 0) \
    TRAP(CR3_LOAD, "cr3_load", PRIMARY, PRIMARY_CR3_LOAD_EXITING, 0) \
    TRAP(CR3_STORE, "cr3_store", PRIMARY, PRIMARY_CR3_STORE_EXITING, 0) \
    TRAP(CR8_LOAD, "cr8_load", PRIMARY, PRIMARY_CR8_LOAD_EXITING, 0) \
    TRAP(CR8_STORE, "cr8_store", PRIMARY, PRIMARY_CR8_STORE_EXITING, 0) \
    TRAP(MOV_DR, "mov_dr", PRIMARY, PRIMARY_MOV_DR_EXITING, 0) \
    TRAP(PAUSE, "pause", PRIMARY, PRIMARY_PAUSE_EXITING, 0) \
    TRAP(HLT, "hlt", PRIMARY, PRIMARY_HLT_EXITING, 0) \
    TRAP(WBINVD, "wbinvd", SECONDARY, SECONDARY_WBINVD_EXITING, 0) \
    TRAP(MONITOR, "monitor", PRIMARY, PRIMARY_MONITOR_EXITING, 0) \
    TRAP(MWAIT, "mwait", PRIMARY, PRIMARY_MWAIT_EXITING, 0) \
    TRAP(RDRAND, "rdrand", SECONDARY, SECONDARY_RDRAND_EXITING, 0) \
    TRAP(RDSEED, "rdseed", SECONDARY, SECONDARY_RDSEED_EXITING, 0) \
    TRAP(IO, "io", PRIMARY, PRIMARY_UNCONDITIONAL_IO_EXITING, PRIMARY_IO_BITMAPS) \
    TRAP(MSR, "msr", PRIMARY, 0, PRIMARY_MSR_BITMAPS)
// clang-format on

#define TRAP_INDEX(name, ...) TRAP_INDEX_##name,
enum trap_index { VM_TRAPS(TRAP_INDEX) TRAPS };
#define TRAP_BIT(name, ...) TRAP_##name = BIT32(TRAP_INDEX_##name),
enum trap {
    VM_TRAPS(TRAP_BIT) TRAP_EVERY = BIT32(TRAPS) - 1,
    TRAP_IF_POSSIBLE = BIT32(31), // what this CPU has no control for is left out
};

struct vm_traits {
    const char *name;
    const char *kernel; // the file's name, or which firmware
    uint64_t memory;    // bytes, whole pages
    struct uuid uuid;   // of a configuration that does not say it: zeros
    enum vm_firmware firmware;
    enum msr_unknown msr_unknown;
    bool testdev;        // the test device answers on its ports
    bool uart2;          // COM2 exists
    bool virtio_console; // is where the operator types, once its driver runs
    bool guest_agent;    // a virtio port for QEMU's guest agent
    bool rng;            // a virtio source of entropy
    unsigned rng_rate;   // bytes a second that it gives
    enum balloon_mode balloon;
    enum exit_stats_mode exit_stats;
    uint8_t stats_leaf[STATS_LEAVES]; // EXIT_STATS_CPUID: STATS_LEAF_ bits; 0: no such leaf
    uint32_t traps;                   // exits to have that a guest could do without: TRAP_ bits
    uint32_t trap_vectors;            // ... and exceptions to intercept on their way to the guest
};

// Where RAM below 4 GiB ends at the latest.
static inline uint64_t vm_low_memory_end(const struct vm_traits *traits)
{
    return traits->firmware ? LOW_MEMORY_END_Q35 : LOW_MEMORY_END;
}
