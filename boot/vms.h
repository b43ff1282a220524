// VMs on this machine: made from their description and images, started, ended, summed up.
#pragma once

#include "loaders/image.h"
#include "vm/config.h"
#include "vm/cpuid.h"

struct vm;

// What all VMs share, once: the host's CPUID leaves as guests may see them.
struct vms_inputs {
    const struct cpuid_leaves *host_cpuid;
    struct cpuid_inputs cpuid;
    const struct image *images; // modules of the boot loader, by name
    unsigned image_count;
    uint64_t wall_clock; // seconds since 1970 ...
    uint64_t wall_tsc;   // ... at this host TSC
};

void vms_init(const struct vms_inputs *inputs);

// Builds a VM and gives its vCPUs to the CPUs' loops. Any result but STATUS_OK is explained in one
// line.
MUST_CHECK status_t vms_start(const struct vm_config *config, struct explanation *why);

// How many VMs have not ended.
unsigned vms_running(void);

// A byte typed for the VM in focus. False: it has no room now.
bool vms_console_input(uint8_t byte);

// Output has room again.
void vms_console_room(void);

// Ends every VM.
void vms_kill_all(void);

// loop_hooks.vm_stopped: prints the summary.
void vms_stopped(struct vm *vm);

// How the VM that ended last did: the word behind "corbel: end: ".
const char *vms_end_text(void);
