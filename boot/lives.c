// The life of a VM, from phase to phase: built, run, buried, built anew. What takes long is done in
// pieces, between the slices of the vCPUs that share CPU 0, so that neighbours keep their time.

#include "boot/slots.h"

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/tsc.h"
#include "boot/consoles.h"
#include "boot/uart2.h"
#include "drivers/host/console.h"
#include "lib/string.h"
#include "mm/frames.h"
#include "monitor/summary.h"
#include "vmx/loop.h"
#include "vmx/ram.h"

#define PIECES_HZ      1000 // a piece of work takes so long at most: a UART's FIFO is full in 1.4 ms
#define SUMMARY_BYTES  4096 // room on the line for what is printed when a VM ends
#define SPEAKS_SECONDS 10   // a line that is stuck for so long is waited for no more

static char end_text[64] = "stopped no VM could be started";

// ---- services for the guest half ----

// The guest waits for a slow line instead of losing text; vms_console_room() lets it go on. Its
// debug console is its first port's.
static bool console_write_byte(struct vm *vm, unsigned port, uint8_t byte)
{
    return port == 1 ? uart2_write(vm, byte) : mux_write(&consoles, vm->id - 1, byte);
}

static uint64_t wall_clock(struct vm *vm)
{
    return CONTAINER_OF(vm, struct instance, vm)->wall_clock;
}

static void log_line(struct vm *vm, const char *text)
{
    tell("[%s] %s\n", vm->config.name, text);
}

static const struct vm_host services = {
    .kick = loop_kick,
    .notify = loop_notify,
    .console_write = console_write_byte,
    .memory_fault = ram_fault,
    .memory_drop = ram_drop,
    .copy_later = instance_copy_later,
    .wall_clock = wall_clock,
    .log = log_line,
};

// pin = names a CPU for each vCPU in turn.
static uint16_t pinned_cpu(const struct vm_config *config, unsigned vcpu)
{
    if (!config->pin_count)
        return SCHED_ANY_CPU;
    unsigned cpu = config->pin[vcpu % config->pin_count];
    if (cpu < cpu_count && cpus[cpu].online)
        return (uint16_t)cpu;
    tell("corbel: %s: pin = %u: there is no such CPU: vCPU %u may run anywhere\n", config->name,
         cpu, vcpu);
    return SCHED_ANY_CPU;
}

// A VM that starts anew goes on where the one before stood, and pays for its making.
static void schedule(const struct slot *slot)
{
    struct instance *instance = slot->instance;
    const struct vm_config *config = &instance->vm.config;
    uint64_t debt = scale_32(slot->spent, instance->vm.clock.ns_per_tsc);
    unsigned count = instance->vm.vcpu_count;
    for (unsigned i = 0; i < count; i++) {
        struct vmx_vcpu *vcpu = vmx_vcpu(instance->vm.vcpu[i]);
        vcpu->sched = (struct sched_entity){
            .weight = config->weight,
            .cap = config->cap ? MAX(config->cap / count, 1) : 0,
            .pinned = pinned_cpu(config, i),
            .group = &instance->machine.group,
            .debt = debt / count,
            .vruntime = slot->vruntime,
        };
        instance->machine.entity[i] = &vcpu->sched;
    }
    instance->machine.group = (struct sched_group){instance->machine.entity, count};
    for (unsigned i = 0; i < count; i++)
        loop_add(vmx_vcpu(instance->vm.vcpu[i]));
}

// ---- building ----

status_t slot_begin(struct slot *slot, struct explanation *why)
{
    uint64_t since = rdtsc();
    slot->instance = instance_create(slot->config, &services, &vms_inputs, why);
    if (!slot->instance)
        return STATUS_NO_MEMORY;
    slot->instance->vm.id = (unsigned)(slot - slots) + 1;
    slot->instance->vm.is_quiet = (slot->restarts & (slot->restarts + 1)) != 0; // ever fewer lines
    slot->phase = PHASE_FILLING;
    slot->spent += rdtsc() - since;
    return STATUS_OK;
}

// A VM pays for its making out of its share: one that does nothing but reset itself takes no time
// from the others.
status_t slot_fill(struct slot *slot, uint64_t until, struct explanation *why)
{
    uint64_t since = rdtsc();
    struct instance *instance = slot->instance;
    enum instance_progress progress = instance_fill(instance, &vms_inputs, until, why);
    slot->spent += rdtsc() - since;
    if (progress == INSTANCE_REFUSED) {
        slot_end(slot, false);
        return STATUS_INVALID;
    }
    if (progress == INSTANCE_READY) {
        slot->phase = PHASE_RUNNING;
        uart2_claim(&instance->vm);
        schedule(slot);
        slot->spent = 0;
    }
    return STATUS_OK;
}

// ---- its end ----

static void note_end(enum stop_reason reason, uint32_t code)
{
    if (reason == STOP_POWEROFF)
        format_text(end_text, sizeof(end_text), "poweroff");
    else if (reason == STOP_DEBUG_EXIT)
        format_text(end_text, sizeof(end_text), "debug-exit %u", code);
    else
        format_text(end_text, sizeof(end_text), "stopped %s", stop_reason_text(reason));
}

void slot_end(struct slot *slot, bool again)
{
    if (slot->phase != PHASE_CLEARING)
        instance_begin_clearing(slot->instance);
    slot->phase = PHASE_CLEARING;
    slot->again = again;
}

void slot_kill(struct slot *slot)
{
    if (slot->phase == PHASE_CLEARING && !slot->again)
        return;
    note_end(STOP_KILLED, 0);
    slot_end(slot, false);
    tell("corbel: VM %s ended: %s\n", slot->config->name, stop_reason_text(STOP_KILLED));
}

void vms_stopped(struct vm *vm)
{
    CONTAINER_OF(vm, struct instance, vm)->has_left = true;
    loop_attend();
}

static enum config_action action_for(const struct vm *vm)
{
    switch ((enum stop_reason)vm->stop_reason) {
    case STOP_POWEROFF:
        return vm->config.on_poweroff;
    case STOP_RESET:
        return vm->config.on_reboot;
    case STOP_KILLED:
    case STOP_DEBUG_EXIT:
        return ACTION_DESTROY;
    case STOP_NONE:
    case STOP_TRIPLE_FAULT:
    case STOP_GUEST_PANIC:
    case STOP_ENTRY_FAILED:
    case STOP_UNKNOWN_EXIT:
    case STOP_UNEMULATED:
    case STOP_BAD_MEMORY:
    case STOP_MACHINE_CHECK:
    case STOP_BUG:
    case STOP_REASONS:
        break;
    }
    return vm->config.on_crash;
}

// What the guest printed last may still be in its serial ports. True: it is out.
static bool has_spoken(const struct slot *slot)
{
    struct vm *vm = &slot->instance->vm;
    if (!board_uart_room(vm) || uart2_has_output(vm))
        return false;
    return mux_finish(&consoles, vm->id - 1) && console_has_room(SUMMARY_BYTES);
}

static void note_restart(struct slot *slot, enum stop_reason reason)
{
    unsigned count = ++slot->restarts;
    if (slot->is_told)
        tell("corbel: VM %s: %s: restart %u (%lu frames free)\n", slot->config->name,
             stop_reason_text(reason), count, frames_free_count());
}

static void print_summary(const struct instance *instance)
{
    uint64_t received[VM_VCPUS];
    const struct vm *vm = &instance->vm;
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        received[i] = instance->machine.entity[i]->received;
    summary_print(&consoles.printer, vm);
    summary_times(&consoles.printer, vm, clock_ns(&vm->clock, rdtsc()), received);
}

static void bury(struct slot *slot)
{
    struct instance *instance = slot->instance;
    enum config_action action = instance->is_killed  ? ACTION_DESTROY
                                : instance->is_reset ? ACTION_RESTART
                                                     : action_for(&instance->vm);
    note_end(instance->vm.stop_reason, instance->vm.stop_code);
    for (unsigned i = 0; i < instance->vm.vcpu_count; i++)
        slot->vruntime = MAX(slot->vruntime, instance->machine.entity[i]->vruntime);
    slot->is_told = vm_is_told(&instance->vm, rdtsc());
    if (action != ACTION_RESTART)
        print_summary(instance);
    else if (slot->is_told)
        summary_state(&consoles.printer, &instance->vm);
    if (action == ACTION_PRESERVE)
        slot->phase = PHASE_PRESERVED;
    else
        slot_end(slot, action == ACTION_RESTART);
}

void vms_attend(void)
{
    uint64_t now = rdtsc();
    for (struct slot *slot = slots; slot < slots + slot_count; slot++) {
        if (slot->phase == PHASE_RUNNING && slot->instance->has_left) {
            slot->phase = PHASE_SPEAKING;
            slot->since = now;
        }
        if (slot->phase == PHASE_SPEAKING &&
            (has_spoken(slot) || now - slot->since > SPEAKS_SECONDS * host_tsc_hz)) {
            uint64_t since = rdtsc();
            bury(slot);
            slot->spent += rdtsc() - since;
        }
    }
}

// ---- work ----

static void explain_refusal(status_t status, const struct explanation *why)
{
    if (status != STATUS_OK)
        tell("corbel: %s\n", why->text);
}

static void clear(struct slot *slot, uint64_t until)
{
    struct explanation why;
    uint64_t since = rdtsc();
    bool is_clear = instance_clear(slot->instance, until);
    if (is_clear) {
        enum stop_reason reason = slot->instance->vm.stop_reason;
        instance_destroy(slot->instance);
        slot->instance = NULL;
        slot->phase = PHASE_ENDED;
        if (slot->again)
            note_restart(slot, reason);
    }
    slot->spent = slot->again ? slot->spent + (rdtsc() - since) : 0;
    if (is_clear && slot->again)
        explain_refusal(slot_begin(slot, &why), &why);
}

bool vms_work(void)
{
    static unsigned turn; // all get their pieces in turn
    struct explanation why;
    for (unsigned i = 0; i < slot_count; i++) {
        struct slot *slot = &slots[++turn % slot_count];
        uint64_t until = rdtsc() + host_tsc_hz / PIECES_HZ;
        if (slot->phase == PHASE_CLEARING)
            clear(slot, until);
        else if (slot->phase == PHASE_FILLING)
            explain_refusal(slot_fill(slot, until, &why), &why);
        else
            continue;
        return true;
    }
    return false;
}

const char *vms_end_text(void)
{
    return end_text;
}
