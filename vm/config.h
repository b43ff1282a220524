// What vms.conf says of one VM, with the defaults for what it does not say; and the parser that
// reads it (vm/config.c). The file travels as a boot module: a machine must come up and explain
// itself whatever is in it.
//
//     [vm web]                      # letters, digits, '.', '-' and '_'
//     cpus    = 2
//     memory  = 256M                # K, M or G
//     kernel  = vmlinuz             # names of other boot modules
//     initrd  = initrd.gz
//     cmdline = console=ttyS0       # a '#' or ';' after a space begins a comment, except inside
//     quotes
#pragma once

#include "lib/status.h"

#define CONFIG_NAME     32
#define CONFIG_PATH     64
#define CONFIG_CMDLINE  2048
#define CONFIG_VMS      64
#define CONFIG_MODULES  8
#define CONFIG_CPUS     64
#define CONFIG_FEATURES 16
#define CONFIG_ERRORS   32
#define CONFIG_LINE     (CONFIG_CMDLINE + 64) // the longest line

enum boot_format {
    BOOT_AUTO = 0,
    BOOT_LINUX,
    BOOT_MULTIBOOT,
    BOOT_MULTIBOOT2,
    BOOT_PVH,
    BOOT_SECTOR,
    BOOT_FLAT,
};

enum flat_mode { FLAT_REAL, FLAT_PROTECTED, FLAT_LONG };

// What follows when the guest powers itself off, asks for a reset, or dies.
enum config_action {
    ACTION_DESTROY,  // the VM ends and its memory is free
    ACTION_RESTART,  // it begins anew
    ACTION_PRESERVE, // it stands still, to be looked at
};

enum msr_unknown {
    MSR_UNKNOWN_GP,     // as on a board: #GP
    MSR_UNKNOWN_IGNORE, // reads are zero, writes have no effect
};

struct config_module {
    char name[CONFIG_PATH];
    char cmdline[CONFIG_PATH * 2]; // what followed the name
};

// What exit_stats asks for. EXIT_STATS_PRINT is the default: the table at the VM's end.
enum exit_stats_mode { EXIT_STATS_PRINT, EXIT_STATS_OFF, EXIT_STATS_CPUID };

// What a leaf of exit statistics tells: EAX for exits, EBX:ECX for cycles.
#define STATS_LEAF_FIRST     0x4ffffffcU
#define STATS_LEAVES         4
#define STATS_LEAF_EXITS     1
#define STATS_LEAF_CYCLES    2
#define STATS_LEAF_BY_REASON 4 // of the exit reason in ECX; else of all reasons

struct config_feature {
    uint16_t index; // in cpu_features[] of vm/feature.h
    bool enable;
};

struct vm_config {
    char name[CONFIG_NAME];
    unsigned line;   // where its section begins in vms.conf; 0: built in
    unsigned cpus;   // vCPUs
    uint64_t memory; // bytes, whole pages
    enum boot_format boot;
    uint64_t flat_address; // BOOT_FLAT: where the image goes and is entered
    enum flat_mode flat_mode;
    char kernel[CONFIG_PATH]; // empty: the built-in guest
    char initrd[CONFIG_PATH];
    char cmdline[CONFIG_CMDLINE];
    unsigned module_count;
    struct config_module module[CONFIG_MODULES];

    enum config_action on_poweroff;
    enum config_action on_reboot;
    enum config_action on_crash;

    unsigned weight; // share of a contended CPU, relative to the other VMs'
    unsigned cap;    // percent of one CPU that the VM may use at most; 0: no limit
    unsigned pin_count;
    uint8_t pin[CONFIG_CPUS]; // vCPU i runs on host CPU pin[i % pin_count]; no pins: anywhere

    unsigned feature_count;
    struct config_feature feature[CONFIG_FEATURES];
    enum msr_unknown msr_unknown;
    bool testdev;      // the test device answers on its ports
    bool uart2;        // COM2 exists
    unsigned watchdog; // seconds without life after which the log says so; 0: never
    enum exit_stats_mode exit_stats;
    uint8_t stats_leaf[STATS_LEAVES]; // EXIT_STATS_CPUID: STATS_LEAF_ bits; 0: no such leaf
    uint32_t traps;        // exits to have that a guest could do without: bits of vm/trap.h
    uint32_t trap_vectors; // ... and exceptions to intercept on their way to the guest
};

struct config_errors {
    unsigned count;
    unsigned dropped; // further ones that had no room
    struct explanation error[CONFIG_ERRORS];
};

// The VM that an empty section describes: 1 vCPU, 256 MiB, no name.
void config_defaults(struct vm_config *config);

// Reads the whole of vms.conf. The VMs without an error are left in out[0 .. *count), in their
// order in the file. STATUS_OK: no errors at all. STATUS_INVALID: every problem is a line
// `vms.conf:LINE: what and remedy` in `errors`; the VMs that remain can run. A file without a
// section is an error.
MUST_CHECK status_t config_parse(const char *text, size_t size, struct vm_config *out,
                                 unsigned capacity, unsigned *count, struct config_errors *errors);
