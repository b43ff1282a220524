// What the monitor asks of the machine half. All of it is called by one CPU at a time. VMs that
// may have ended are named by their slot, 0 to CONFIG_VMS - 1; people count them from 1.
#pragma once

#include "lib/print.h"
#include "lib/status.h"
#include "monitor/guest_agent.h"
#include "vm/config/config.h"
#include "vm/news.h"
#include "vm/vm.h"
#include "vm/watch.h"

enum monitor_state {
    MONITOR_NO_VM, // nothing is described for this slot
    MONITOR_ENDED, // it can be started again
    MONITOR_STARTING,
    MONITOR_RUNNING,
    MONITOR_PAUSED,    // by the operator
    MONITOR_ENDING,    // its vCPUs or its last output are on their way
    MONITOR_PRESERVED, // it has ended and stands still, to be looked at
};

struct monitor_vm {
    enum monitor_state state;
    const char *name;
    const struct vm_config *config;
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
    uint64_t waited;   // ... in which it could have run
};

struct monitor_cpu {
    bool is_online;
    uint32_t apic_id;
    uint64_t idle;              // nanoseconds
    const struct vcpu *running; // or NULL
};

// What a network card has sent and received, and its port dropped.
struct monitor_card {
    uint64_t sent_frames, sent_bytes, received_frames, received_bytes, dropped;
};

// A VM's connections with Corbel (drivers/virt/stream/vsock.h).
struct monitor_streams {
    unsigned open;
    uint64_t opened, refused, broken;
};

// A VM's balloon: bytes, and the guest's statistics by their tags in virtio's specification; all
// ones: it did not tell.
#define MONITOR_BALLOON_STATS 10
struct monitor_balloon {
    uint64_t actual, target;
    uint64_t stats[MONITOR_BALLOON_STATS];
};

struct monitor_host {
    struct monitor_vm (*vm)(unsigned slot);
    struct monitor_vcpu (*vcpu)(struct vcpu *vcpu);
    bool (*cpu)(unsigned index, struct monitor_cpu *cpu); // false: there are no more

    // STATUS_INVALID: it does not run, or is not paused.
    status_t (*pause)(struct vm *vm);
    status_t (*resume)(struct vm *vm);
    void (*kill)(unsigned slot);
    void (*reset)(struct vm *vm);
    bool (*power_down)(struct vm *vm); // false: the guest listens neither to agent nor button
    // Asks its guest agent: a message tells the answer later.
    status_t (*agent)(struct vm *vm, enum agent_order order, struct explanation *why);
    // Begins to write its state to where saved VMs go: a message tells the end.
    status_t (*save)(struct vm *vm, struct explanation *why);
    // A VM that has ended, anew from its description.
    status_t (*start)(unsigned slot, struct explanation *why);
    // Makes the VM stand still, with every group of its vCPUs' state in struct vcpu; and lets it go
    // on if it ran before.
    void (*hold)(struct vm *vm);
    void (*release)(struct vm *vm);
    // Begins (anew) the noting of the VM's exits in vcpu->watch, or ends it if `filter` is NULL.
    // STATUS_NO_MEMORY: not of all vCPUs.
    status_t (*watch)(struct vm *vm, const struct watch_filter *filter);
    // Asks the guest to have so many bytes of its memory and to give the rest back; shows what it
    // has, and asks for new statistics. False: it has no balloon.
    bool (*set_balloon)(struct vm *vm, uint64_t bytes);
    bool (*balloon)(struct vm *vm, struct monitor_balloon *balloon);
    // What happens to a slot's VM, over all its lives.
    struct news *(*news)(unsigned slot);
    uint64_t (*disk_bytes)(unsigned slot, unsigned disk);
    void (*quit)(void);
    void (*focus)(unsigned slot);                    // its console
    void (*resize)(uint16_t columns, uint16_t rows); // of the terminal, for all consoles

    // The network cards of a slot's VM, whether it is there or not: how many; the link goes up or
    // down; the driver tells the network where it is; the capture begins anew or ends
    // (STATUS_NO_MEMORY), and is printed as far as it was not.
    unsigned (*cards)(unsigned slot);
    void (*set_link)(unsigned slot, unsigned card, bool is_up);
    void (*announce)(unsigned slot, unsigned card);
    status_t (*netdump)(unsigned slot, unsigned card, bool on);
    void (*print_netdump)(struct printer *to, unsigned slot, unsigned card);
    void (*print_cards)(struct printer *to, unsigned slot);
    void (*print_switches)(struct printer *to);
    bool (*card)(unsigned slot, unsigned number, struct monitor_card *card); // false: there is none

    // The connections that a slot's VM has with Corbel. False: it has no socket device.
    bool (*streams)(unsigned slot, struct monitor_streams *streams);
    void (*print_streams)(struct printer *to, unsigned slot);

    // Bytes of the machine's memory; and those that the VM in this slot holds alone (its RAM,
    // tables, vCPUs), and with other VMs.
    void (*memory)(uint64_t *free_bytes, uint64_t *total_bytes, uint64_t *ours);
    void (*held)(unsigned slot, uint64_t *alone, uint64_t *shared);
    uint64_t (*place)(const void *ram);                        // of a VM's RAM in the machine
    uint64_t (*uptime)(void);                                  // nanoseconds
    void (*print_vmcs)(struct printer *to, struct vcpu *vcpu); // of a VM that is held
    void (*print_irq)(struct printer *to, struct vm *vm);
    void (*print_devices)(struct printer *to, struct vm *vm);
    void (*print_pci)(struct printer *to, struct vm *vm);
    void (*print_capabilities)(struct printer *to);
    const char *version;
};
