// What the monitor asks of the machine half. All of it is called on CPU 0, between slices. VMs that
// may have ended are named by their slot, 0 to CONFIG_VMS - 1; people count them from 1.
#pragma once

#include "lib/print.h"
#include "lib/status.h"
#include "vm/vm.h"

enum monitor_state {
    MONITOR_NO_VM, // nothing is described for this slot
    MONITOR_ENDED, // it can be started again
    MONITOR_STARTING,
    MONITOR_RUNNING,
    MONITOR_PAUSED,    // by the operator
    MONITOR_PRESERVED, // it has ended and stands still, to be looked at
};

struct monitor_vm {
    enum monitor_state state;
    const char *name;
    struct vm *vm;  // NULL: it has ended, or is not there yet
    bool is_chosen; // the one in focus last: set by find_vm()
};

// A vCPU as the scheduler sees it.
struct monitor_vcpu {
    const char *state; // "running", "queued", ...
    unsigned cpu;      // where it runs or ran last
    int pinned;        // its only CPU, or -1
    unsigned weight, cap;
    uint64_t received; // nanoseconds of CPU time
};

struct monitor_cpu {
    bool is_online;
    uint32_t apic_id;
    uint64_t idle;              // nanoseconds
    const struct vcpu *running; // or NULL
};

struct monitor_host {
    struct monitor_vm (*vm)(unsigned slot);
    struct monitor_vcpu (*vcpu)(struct vcpu *vcpu);
    bool (*cpu)(unsigned index, struct monitor_cpu *cpu); // false: there are no more

    void (*pause)(struct vm *vm);
    void (*resume)(struct vm *vm);
    void (*kill)(unsigned slot);
    void (*reset)(struct vm *vm);
    bool (*power_button)(struct vm *vm); // false: the guest does not listen to it
    // A VM that has ended, anew from its description.
    status_t (*start)(unsigned slot, struct explanation *why);
    // Makes the VM stand still, with every group of its vCPUs' state in struct vcpu; and lets it go
    // on if it ran before.
    void (*hold)(struct vm *vm);
    void (*release)(struct vm *vm);
    // Begins (anew) or ends the noting of the VM's exits in vcpu->watch. STATUS_NO_MEMORY: not of
    // all vCPUs.
    status_t (*watch)(struct vm *vm, bool on);
    void (*quit)(void);
    void (*focus)(unsigned slot); // its console

    void (*memory)(uint64_t *free_bytes, uint64_t *total_bytes);
    uint64_t (*place)(const void *ram); // of a VM's RAM in the machine
    uint64_t (*uptime)(void);           // nanoseconds
    void (*print_irq)(struct printer *to, struct vm *vm);
    void (*print_capabilities)(struct printer *to);
    size_t (*read_log)(uint64_t *position, char *text, size_t size); // as log_read()
    const char *version;
};
