// What every instance of a VM is made with.
#pragma once

#include "loaders/image.h"
#include "vm/clock.h"
#include "vm/config/config.h"
#include "vm/cpu/cpuid.h"

struct vsock_host;

// What all VMs share, once: the host's CPUID leaves as guests may see them.
struct instance_inputs {
    const struct cpuid_leaves *host_cpuid;
    struct cpuid_inputs cpuid;
    const struct image *images; // modules of the boot loader, by name
    unsigned image_count;
    const struct vsock_host *vsock_host; // of its socket device
    const char *fail_entry;              // the VM that boot/info/options.h names
    uint64_t wall_clock;                 // seconds since 1970 ...
    struct clock clock;                  // ... at its time 0
};

// Set before any VM is made.
extern struct instance_inputs instance_inputs;

// Nanoseconds since 1970, at a host TSC.
uint64_t inputs_wall_clock(uint64_t tsc);

// The boot module that a description names under `key`, in a line of vms.conf (0: where the key is
// set). Any result but STATUS_OK is explained.
MUST_CHECK status_t inputs_find_file(const struct vm_config *config, const char *key, unsigned line,
                                     const char *name, struct image *image,
                                     struct explanation *why);
