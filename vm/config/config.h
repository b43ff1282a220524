// What vms.conf says of one VM, with the defaults for what it does not say; and the parser that
// reads it (vm/config/config.c). The file travels as a boot module: a machine must come up and
// explain itself whatever is in it.
//
//     [vm web]                      # letters, digits, '.', '-' and '_'
//     cpus    = 2
//     memory  = 256M                # K, M or G
//     kernel  = vmlinuz             # names of other boot modules
//     initrd  = initrd.gz
//     cmdline = console=ttyS0       # a '#' or ';' after a space begins a comment, but in quotes
#pragma once

#include "lib/notes.h"
#include "vm/cpu/feature.h"
#include "vm/right.h"
#include "vm/traits.h"

#define CONFIG_NAME     32
#define CONFIG_PATH     64
#define CONFIG_CMDLINE  2048
#define CONFIG_VMS      64
#define CONFIG_MODULES  8
#define CONFIG_CPUS     64
#define CONFIG_FEATURES 16
#define CONFIG_KEYS     40
#define CONFIG_DISKS    8
#define CONFIG_NETS     4
#define CONFIG_SWITCHES 16
#define CONFIG_TRUNK    8
#define CONFIG_CONTROLS 16
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

struct config_module {
    char name[CONFIG_PATH];
    char cmdline[CONFIG_PATH * 2]; // what followed the name
};

// A virtual disk, and where its bytes are.
struct config_disk {
    unsigned line;            // of vms.conf
    uint64_t size;            // bytes of RAM; 0: the module's
    char module[CONFIG_PATH]; // empty: RAM that begins as zeros
    bool overlay;             // the module can be written to, in RAM
};

struct config_vlans {
    uint16_t first, last; // 1 to 4094
};

// A network card, and the switch that it is connected to.
struct config_net {
    unsigned line; // of vms.conf
    char network[CONFIG_NAME];
    uint8_t mac[6];
    bool has_mac;     // vms.conf says which; else it is made of the VM's name
    bool is_isolated; // it reaches ports that are not, and no other
    bool no_offloads; // the guest computes checksums and cuts segments itself
    uint64_t rate;    // bits a second that it may send, and be sent; 0: no limit
    unsigned queues;  // pairs; 0: one a vCPU
    uint16_t vlan;    // of frames without a tag; 0: VLANs are not looked at
    uint8_t trunk_count;
    struct config_vlans trunk[CONFIG_TRUNK]; // VLANs whose frames have a tag
};

// Whom a VM may look after, by what its programs say to Corbel.
struct config_control {
    char name[CONFIG_NAME]; // empty: all VMs
    enum right right;
};

// A [switch NAME].
struct config_switch {
    char name[CONFIG_NAME];
    unsigned line;
    bool is_isolated; // its ports are, unless they say otherwise
    unsigned mtu;
};

struct config_switches {
    unsigned count;
    struct config_switch at[CONFIG_SWITCHES];
};

struct vm_config {
    char name[CONFIG_NAME];
    unsigned line;                  // where its section begins in vms.conf; 0: built in
    unsigned key_line[CONFIG_KEYS]; // where each key (config_keys.c) is set; 0: nowhere
    unsigned cpus;                  // vCPUs
    uint64_t memory;                // bytes, whole pages
    enum boot_format boot;
    uint64_t flat_address; // BOOT_FLAT: where the image goes and is entered
    enum flat_mode flat_mode;
    char kernel[CONFIG_PATH]; // empty: the built-in guest, or firmware
    char initrd[CONFIG_PATH];
    char restore[CONFIG_PATH]; // a saved VM that it begins as; empty: none
    char nvram[CONFIG_PATH];   // empty: Debian's, without any variables
    char cmdline[CONFIG_CMDLINE];
    unsigned module_count;
    struct config_module module[CONFIG_MODULES];
    unsigned disk_count;
    struct config_disk disk[CONFIG_DISKS];
    unsigned net_count;
    struct config_net net[CONFIG_NETS];
    uint32_t cid;                    // of its socket device; 0: it has none
    unsigned cid_line, control_line; // of vms.conf
    unsigned control_count;
    struct config_control control[CONFIG_CONTROLS];

    enum config_action on_poweroff;
    enum config_action on_reboot;
    enum config_action on_crash;

    unsigned weight; // share of a contended CPU, relative to the other VMs'
    unsigned cap;    // percent of one CPU that the VM may use at most; 0: no limit
    unsigned pin_count;
    uint8_t pin[CONFIG_CPUS]; // vCPU i runs on host CPU pin[i % pin_count]; no pins: anywhere

    unsigned feature_count;
    struct feature_switch feature[CONFIG_FEATURES];
    unsigned watchdog;       // seconds without life after which the log says so; 0: never
    struct vm_traits traits; // all but its name, kernel and memory: config_traits() has those, too
};

// The VM that an empty section describes: 1 vCPU, 256 MiB, no name.
void config_defaults(struct vm_config *config);

// What of it the VM has to know; the texts stay in `config`.
struct vm_traits config_traits(const struct vm_config *config);

// Reads the whole of vms.conf. The VMs without an error are left in out[0 .. *count), in their
// order in the file, and each of their networks is one of `switches`. STATUS_OK: no errors at all.
// STATUS_INVALID: every problem is a line `vms.conf:LINE: VM NAME: what and remedy` in `errors`
// (without a name outside of a VM's section); the VMs that remain can run; `keeps_broken` keeps the
// others, too, for a look at what else is wrong with them. A file without a section is an error.
MUST_CHECK status_t config_parse(const char *text, size_t size, struct vm_config *out,
                                 unsigned capacity, bool keeps_broken, unsigned *count,
                                 struct config_switches *switches, struct notes *errors);

// What a VM may do to the one of that name (itself included).
enum right config_right(const struct vm_config *config, const char *name);

// explain() for what turns out later to be wrong with a VM: with the line of `key`, or where that
// is not set (or NULL) of its section, and the name in front, as the parser has it.
__attribute__((format(printf, 5, 6))) status_t
config_explain(struct explanation *why, status_t status, const struct vm_config *config,
               const char *key, const char *format, ...);

// The same for a line of its own.
__attribute__((format(printf, 5, 6))) status_t
config_explain_line(struct explanation *why, status_t status, const struct vm_config *config,
                    unsigned line, const char *format, ...);
