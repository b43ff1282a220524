// A virtual machine: vCPUs, memory, buses, clock, and the services that the machine half lends it.
#pragma once

#include "vm/bus.h"
#include "vm/clock.h"
#include "vm/config.h"
#include "vm/cpuid.h"
#include "vm/gmem.h"
#include "vm/irq.h"
#include "vm/tally.h"
#include "vm/vcpu.h"

#define VM_VCPUS 64

struct vm;

// What the guest half asks of the machine half.
struct vm_host {
    // Makes the CPU that runs this vCPU look at its requests, wherever it is: in the guest, in
    // root, or asleep.
    void (*kick)(struct vcpu *vcpu);
    // Its posted-interrupt descriptor has something new, and a request is set: the CPU that runs it
    // in the guest is notified (unless that is `outstanding` already), otherwise as kick.
    void (*notify)(struct vcpu *vcpu, bool outstanding);
    // A byte from the guest's serial port `port` (0..3) or its debug port (4). False: no room now,
    // offer it again after uart_room() (board.h).
    bool (*console_write)(struct vm *vm, unsigned port, uint8_t byte);
    // The guest met an EPT violation on RAM: makes the page accessible as the exit qualification
    // asks, or knows that it already is. False: it cannot be. NULL: RAM is always mapped in full.
    bool (*memory_fault)(struct vcpu *vcpu, gpa_t at, uint64_t qualification);
    // Takes a page of RAM out of the nested page tables until it is touched again. NULL: cannot.
    void (*memory_drop)(struct vm *vm, gpa_t at);
    // Copies a part of a boot module, which stays, to RAM before the VM runs. False: it is to be
    // copied now. NULL: as if false.
    bool (*copy_later)(struct vm *vm, gpa_t to, const void *from, uint64_t size);
    // The wall clock at VM time 0, seconds since 1970.
    uint64_t (*wall_clock)(struct vm *vm);
    // One line of our own log about this VM.
    void (*log)(struct vm *vm, const char *text);
};

// The interrupt controllers outside the CPU, as the CPU sees them.
struct vm_irqchip {
    // The 8259 pair's INTR output; and the acknowledge cycle that returns its vector.
    bool (*pic_pending)(void *pic);
    uint8_t (*pic_acknowledge)(void *pic);
    void *pic;
    // The local APICs' EOI broadcast for a level-triggered vector.
    void (*ioapic_eoi)(void *ioapic, uint8_t vector);
    void *ioapic;
};

struct vm {
    struct vm_config config;
    unsigned id;   // from 1
    bool is_quiet; // one of many lives: what ends it soon is not told
    unsigned vcpu_count;
    struct vcpu *vcpu[VM_VCPUS];
    struct gmem memory;
    struct bus ports;
    struct bus mmio;
    struct clock clock;
    struct cpuid_policy cpuid;
    struct vm_irqchip irqchip;
    const struct vm_host *host;
    void *board; // struct board of drivers/virt/board.h
    // Lets the devices do what is due at `now` and sets device_deadline anew (board_tick()).
    void (*tick_devices)(struct vm *vm, uint64_t now);
    void *machine; // the machine half's own part: EPT, VPIDs

    // Set once by vm_stop(), read by every CPU that runs a vCPU of this VM.
    _Atomic uint32_t stop_reason;     // enum stop_reason
    _Atomic uint32_t stop_code;       // port value, exit reason, ...: what goes with the reason
    struct vcpu *stopped_by;          // whose exit it was, with all state fetched; NULL: nobody's
    _Atomic uint64_t device_deadline; // VM time at which a device wants its tick

    _Atomic uint32_t arbitration; // the vCPU that won the last lowest-priority message (vm/ipi.c)

    _Atomic uint64_t unclaimed_ports; // accesses that nobody answered, by bus
    _Atomic uint64_t unclaimed_mmio;
    _Atomic uint64_t unknown_msrs;
    struct tally port_tally; // the same by address, for the operator's list
    struct tally mmio_tally;
    struct tally msr_tally;
};

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
bool vm_is_told(const struct vm *vm, uint64_t tsc);

// Routes one access from a guest; unanswered ones are counted and listed. Reads that nobody answers
// are all ones.
void vm_port_access(struct vm *vm, struct access *access);
void vm_mmio_access(struct vcpu *vcpu,
                    struct access *access); // looks at this vCPU's local APIC first

// What becomes of an access to a port that nobody claims.
void vm_unclaimed_port(struct vm *vm, struct access *access);

// Lowers vm->device_deadline (VM time) to `deadline`. False: it is not later already. Any CPU may
// call it.
bool vm_lower_deadline(struct vm *vm, uint64_t deadline);

// A device wants its tick at `deadline`: lowers vm->device_deadline and, if that changed it, has
// vCPU 0, whose loop runs the ticks, look at it (REQUEST_TIMER). Any CPU may call it.
void vm_request_tick(struct vm *vm, uint64_t deadline);
