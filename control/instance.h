// One VM with everything that it has, in one piece of memory; its RAM, tables and vCPUs apart.
#pragma once

#include "control/consoles.h"
#include "drivers/virt/board.h"
#include "loaders/firmware.h"
#include "monitor/guest_agent.h"
#include "vm/config/config.h"
#include "vmx/vmx.h"

struct disks;
struct networks;
struct rom;

struct instance {
    const struct vm_config *config;
    struct vm vm;
    struct vmx_vm vmx;
    struct board board;
    struct frame_source frames; // of its nested page tables
    struct board_parts parts;   // what its board is built with
    struct firmware_tables firmware;
    struct console_lines lines; // of its ports
    struct guest_agent agent;
    struct disks *disks; // its domain's, and so the next
    const struct rom *rom;
    uint64_t wall_clock; // seconds since 1970 at VM time 0
    uint64_t parked_at;  // host TSC, while its vCPUs are parked and its clocks stand
    bool is_called_off;  // what takes long ends early: it is to be undone
};

// What takes long lets others run now and then, by task_pause().

// Gives a VM all that it has, its RAM not mapped and cleared yet. NULL: explained; nothing is left
// behind. `id`: from 1.
struct instance *instance_create(const struct vm_config *config, unsigned id, const struct rom *rom,
                                 struct disks *disks, struct networks *networks,
                                 const struct vm_host *host, struct explanation *why);

// Maps and clears its RAM and loads what it starts with: once its clock runs, its vCPUs can be
// given to CPUs' loops. Not `loads`: it stays clear. Any result but STATUS_OK is explained, unless
// it was called off.
MUST_CHECK status_t instance_fill(struct instance *instance, bool loads, struct explanation *why);

// Now is VM time 0 and guest TSC 0.
void instance_start_clock(struct instance *instance);

// vm_host.copy_file.
void instance_copy(struct vm *vm, gpa_t to, const void *from, uint64_t size);

// Begins the watching of its vCPUs' exits (vm/watch.h), or ends it if `filter` is NULL. The VM
// stands still. STATUS_NO_MEMORY: some are not watched.
struct watch_filter;
MUST_CHECK status_t instance_watch(struct instance *instance, const struct watch_filter *filter);

// Its programs' connections with Corbel end: its vCPUs have left. By any CPU.
void instance_close_streams(struct instance *instance);

// Clears its RAM.
void instance_clear(struct instance *instance);

// Gives back all that it has. Its RAM must be clear: the next owner must not read it. None of its
// vCPUs may be in a loop or loaded.
void instance_destroy(struct instance *instance);
