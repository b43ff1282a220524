// A virtual machine: vCPUs, memory, buses, clock, and the services that the machine half lends it.
#pragma once

#include "vm/bus.h"
#include "vm/clock.h"
#include "vm/console.h"
#include "vm/cpu/cpuid.h"
#include "vm/gmem.h"
#include "vm/irq.h"
#include "vm/access_counts.h"
#include "vm/traits.h"
#include "vm/vcpu.h"

#define VM_VCPUS 64

enum vm_line { LINE_COM1, LINE_COM2, LINE_VIRTIO, LINE_AGENT, VM_CONSOLES };

struct vm;

// What the guest half asks of the machine half.
struct vm_host {
    // Makes the CPU that runs this vCPU look at its requests, wherever it is: in the guest, in
    // root, or asleep.
    void (*kick)(struct vcpu *vcpu);
    // Its posted-interrupt descriptor has something new, and a request is set: the CPU that runs it
    // in the guest is notified (unless that is `outstanding` already), otherwise as kick.
    void (*notify)(struct vcpu *vcpu, bool outstanding);
    // Whether it is this CPU that runs the vCPU: between its entries, what is the vCPU's may be
    // changed here. NULL: nobody knows.
    bool (*is_here)(const struct vcpu *vcpu);
    // The guest met an EPT violation on RAM, or reading ROM: makes the page accessible as the exit
    // qualification asks, or knows that it already is. False: it cannot be. NULL: RAM is always
    // mapped in full.
    bool (*memory_fault)(struct vcpu *vcpu, gpa_t at, uint64_t qualification);
    // Takes a page of RAM out of the nested page tables until it is touched again. NULL: cannot.
    void (*memory_drop)(struct vm *vm, gpa_t at);
    // What of the ROM is hidden has changed: no CPU of the VM reads it any more from its next entry
    // on. NULL: it is never mapped.
    void (*memory_hide)(struct vm *vm);
    // Gives pages of RAM back to the machine: they are zeros when they are touched again. Returns
    // how many of `count` it has looked at; if not all, memory_settle() comes first, which does a
    // piece of what is left to do: false: nothing is. NULL: cannot.
    uint64_t (*memory_give)(struct vm *vm, gpa_t at, uint64_t count);
    bool (*memory_settle)(struct vm *vm);
    // Whether no CPU of the VM uses what was given any more, or will from its next entry on: before
    // that, who writes there again may lose it. NULL: none ever does.
    bool (*memory_is_gone)(struct vm *vm);
    // Begins the log of written pages of RAM, or ends it. And whether this page
    // was written since it began or was last asked for. NULL: cannot.
    void (*memory_log)(struct vm *vm, bool on);
    bool (*memory_written)(struct vm *vm, gpa_t at);
    // Copies a part of a boot module to RAM that was claimed: others may run meanwhile. NULL: the
    // loader copies.
    void (*copy_file)(struct vm *vm, gpa_t to, const void *from, uint64_t size);
    // Random numbers of the host's. Returns how many bytes of those there are; a VM without a
    // virtio_rng never asks.
    size_t (*entropy)(uint8_t *to, size_t bytes);
    // A vCPU of the VM stopped for its debugger. NULL: there is none.
    void (*debug_stop)(struct vm *vm);
    // The wall clock at VM time 0, seconds since 1970; before, that of its loading.
    uint64_t (*wall_clock)(struct vm *vm);
};

// The interrupt controllers outside the CPU, as the CPU sees them.
struct vm_irqchip {
    // The 8259 pair's INTR output; and the acknowledge cycle that returns its vector.
    bool (*pic_pending)(void *pic);
    uint8_t (*pic_acknowledge)(void *pic);
    bool (*pic_line)(void *pic); // INTR as LINT0 pins see it, which do not acknowledge
    void *pic;
    // The local APICs' EOI broadcast for a level-triggered vector.
    void (*ioapic_eoi)(void *ioapic, uint8_t vector);
    void *ioapic;
};

struct vm {
    struct vm_traits traits;
    struct uuid generation;  // another one when it goes on from an older state of itself
    unsigned id;             // from 1
    bool is_quiet;           // one of many lives: what ends it soon is not told
    _Atomic bool is_starved; // it touched RAM for which there is no frame: devices wait, too
    unsigned vcpu_count;
    struct vcpu *vcpu[VM_VCPUS];
    struct gmem memory;
    struct bus ports;
    struct bus mmio;
    struct clock clock;
    struct cpuid_policy cpuid;
    struct vm_irqchip irqchip;
    const struct vm_host *host;
    struct vm_console *console[VM_CONSOLES]; // by enum vm_line; NULL: what is printed is dropped
    void *board;                             // struct board of drivers/virt/board.h
    void *vmx;                               // the machine half's own part: EPT, VPIDs

    // Set once by vm_stop(), read by every CPU that runs a vCPU of this VM.
    _Atomic uint32_t stop_reason; // enum stop_reason
    _Atomic uint32_t stop_code;   // port value, exit reason, ...: what goes with the reason
    struct vcpu *stopped_by;      // whose exit it was, with all state fetched; NULL: nobody's
    struct deadlines deadlines;   // of the devices

    _Atomic uint32_t
        arbitration; // the vCPU that won the last lowest-priority message (vm/apic/ipi.c)

    struct access_counts unclaimed_ports; // accesses that nobody answered
    struct access_counts unclaimed_mmio;
    struct access_counts unknown_msrs;
    _Atomic uint32_t exertions; // accesses that a device did much for: vm_exert()
};

// An access makes its device do much, as a DMA does: who repeats accesses ends his piece of work.
static inline void vm_exert(struct vm *vm)
{
    atomic_fetch_add_explicit(&vm->exertions, 1, memory_order_relaxed);
}

// VM time at the exit, nanoseconds.
static inline uint64_t exit_now(const struct vcpu *vcpu, const struct exit *exit)
{
    return clock_ns(&vcpu->vm->clock, exit->tsc);
}

// Ends the VM: the first reason wins, every vCPU is asked to leave its loop. Any CPU may call it.
// `stop_code` is valid once every vCPU has left. False: it had a reason already.
bool vm_stop(struct vm *vm, enum stop_reason reason, uint32_t code);

// Whether what ends it at this host TSC is worth lines. Some VMs start anew a thousand times a
// second.
bool vm_end_is_logged(const struct vm *vm, uint64_t tsc);

// Routes one access from a guest; unanswered ones are counted and listed. Reads that nobody answers
// are all ones.
void vm_port_access(struct vm *vm, struct access *access);
void vm_mmio_access(struct vcpu *vcpu,
                    struct access *access); // looks at this vCPU's local APIC first

// What becomes of an access to a port that nobody claims.
void vm_unclaimed_port(struct vm *vm, struct access *access);

// Puts a device of a class into the VM, at `device`, which begins a struct of class->size bytes: it
// is zeroed and reset, its name is the class's. Before the first entry.
void vm_plug(struct vm *vm, struct vdev *device, const struct vdev_class *class);

// Lets the devices do what is due at `now` (VM time). Any CPU may call it; cheap when nothing is
// due.
void vm_tick_devices(struct vm *vm, uint64_t now);
