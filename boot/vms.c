// The set of VMs and what happens to each: start, pause, reset, end.

#include "boot/vms.h"

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/tsc.h"
#include "boot/consoles.h"
#include "boot/instance.h"
#include "boot/uart2.h"
#include "drivers/host/console.h"
#include "lib/string.h"
#include "monitor/summary.h"
#include "mm/frames.h"
#include "vmx/loop.h"
#include "vmx/run.h"
#include "vmx/setup.h"
#include "vmx/state.h"

static struct vms_inputs inputs;

#define SCROLL_BACK 16384

// A described VM. Its console outlives it, so that its last words can be read.
static struct slot {
    const struct vm_config *config; // NULL: the slot is free
    struct instance *instance;      // NULL: it has ended
    struct mux_channel console;
    unsigned restarts;
} slots[CONFIG_VMS]; // CPU 0's
static uint64_t frames_at_start;
static char end_text[64] = "stopped no VM could be started";

void vms_init(const struct vms_inputs *given)
{
    inputs = *given;
    frames_at_start = frames_free_count();
}

// ---- services for the guest half ----

// The guest waits for a slow line instead of losing text; vms_console_room() lets it go on.
static bool console_write_byte(struct vm *vm, unsigned port, uint8_t byte)
{
    if (port == 1)
        return uart2_write(vm, byte);
    return port != 0 || mux_write(&consoles, vm->id - 1, byte);
}

static uint64_t wall_clock(struct vm *vm)
{
    return CONTAINER_OF(vm, struct instance, vm)->wall_clock;
}

static void log_line(struct vm *vm, const char *text)
{
    char line[256];
    size_t length = format_text(line, sizeof(line) - 1, "[%s] %s", vm->config.name, text);
    length = MIN(length, sizeof(line) - 2);
    line[length++] = '\n'; // whole lines, since other CPUs print too
    consoles_printer()->write(consoles_printer(), line, length);
}

static const struct vm_host services = {
    .kick = loop_kick,
    .console_write = console_write_byte,
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
    print_to(consoles_printer(),
             "corbel: %s: pin = %u: there is no such CPU: vCPU %u may run anywhere\n", config->name,
             cpu, vcpu);
    return SCHED_ANY_CPU;
}

// `debt`: nanoseconds that were spent on it already.
static void schedule(struct instance *instance, uint64_t debt)
{
    const struct vm_config *config = &instance->vm.config;
    unsigned count = instance->vm.vcpu_count;
    for (unsigned i = 0; i < count; i++) {
        struct vmx_vcpu *vcpu = vmx_vcpu(instance->vm.vcpu[i]);
        vcpu->sched = (struct sched_entity){
            .weight = config->weight,
            .cap = config->cap ? MAX(config->cap / count, 1) : 0,
            .pinned = pinned_cpu(config, i),
            .group = instance,
            .debt = debt / count,
        };
        instance->machine.entity[i] = &vcpu->sched;
    }
    for (unsigned i = 0; i < count; i++)
        loop_add(vmx_vcpu(instance->vm.vcpu[i]));
}

// A VM pays for its making out of its share: one that does nothing but reset itself takes no time
// from the others. `since`: the host TSC at which that began.
static status_t start_in(struct slot *slot, uint64_t since, struct explanation *why)
{
    slot->instance = instance_create(slot->config, &services, &inputs, why);
    if (!slot->instance)
        return STATUS_INVALID;
    slot->instance->vm.id = (unsigned)(slot - slots) + 1;
    uart2_claim(&slot->instance->vm);
    schedule(slot->instance, scale_32(rdtsc() - since, slot->instance->vm.clock.ns_per_tsc));
    return STATUS_OK;
}

static status_t fill(struct slot *slot, const struct vm_config *config, struct explanation *why)
{
    uint8_t *scroll_back = frames_allocate(SCROLL_BACK, PAGE_SIZE);
    if (!scroll_back)
        return explain(why, STATUS_NO_MEMORY, "%s: no memory for its console", config->name);
    frames_at_start -= SCROLL_BACK / PAGE_SIZE; // it is kept
    slot->config = config;
    mux_attach(&consoles, (unsigned)(slot - slots), &slot->console, config->name, scroll_back,
               SCROLL_BACK);
    return start_in(slot, rdtsc(), why);
}

status_t vms_start(const struct vm_config *config, struct explanation *why)
{
    for (unsigned i = 0; i < CONFIG_VMS; i++)
        if (!slots[i].config)
            return fill(&slots[i], config, why);
    return explain(why, STATUS_FULL, "%s: there are %u VMs already", config->name, CONFIG_VMS);
}

status_t vms_start_again(unsigned slot, struct explanation *why)
{
    return start_in(&slots[slot], rdtsc(), why);
}

unsigned vms_count(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < CONFIG_VMS; i++)
        count += slots[i].instance != NULL;
    return count;
}

struct vm *vms_at(unsigned slot)
{
    return slot < CONFIG_VMS && slots[slot].instance ? &slots[slot].instance->vm : NULL;
}

const struct vm_config *vms_config(unsigned slot)
{
    return slot < CONFIG_VMS ? slots[slot].config : NULL;
}

void vms_console_room(void)
{
    for (unsigned i = 0; i < CONFIG_VMS; i++)
        if (slots[i].instance)
            board_uart_room(&slots[i].instance->vm);
}

// ---- pausing: VM time and the guest's TSC stand still ----

void vms_pause(struct vm *vm)
{
    struct instance *instance = CONTAINER_OF(vm, struct instance, vm);
    if (instance->paused_at)
        return;
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        loop_remove(vmx_vcpu(vm->vcpu[i]));
    instance->paused_at = rdtsc();
}

void vms_continue(struct vm *vm)
{
    struct instance *instance = CONTAINER_OF(vm, struct instance, vm);
    if (!instance->paused_at)
        return;
    uint64_t away = rdtsc() - instance->paused_at;
    vm->clock.epoch += away;
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        vm->vcpu[i]->tsc_offset -= away;
        vm->vcpu[i]->dirty |= STATE_TSC;
    }
    instance->paused_at = 0;
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        vcpu_note(vm->vcpu[i], REQUEST_TIMER | REQUEST_CLOCK);
        if (!vmx_vcpu(vm->vcpu[i])->left)
            loop_add(vmx_vcpu(vm->vcpu[i]));
    }
}

static struct instance *instance_of(struct vm *vm)
{
    return CONTAINER_OF(vm, struct instance, vm);
}

bool vms_is_paused(struct vm *vm)
{
    return instance_of(vm)->paused_at != 0;
}

bool vms_is_preserved(struct vm *vm)
{
    return instance_of(vm)->is_buried;
}

void vms_hold(struct vm *vm)
{
    struct instance *instance = instance_of(vm);
    instance->is_held = !instance->paused_at && !instance->has_left;
    if (instance->is_held)
        vms_pause(vm);
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        struct vmx_vcpu *vcpu = vmx_vcpu(vm->vcpu[i]);
        vcpu_load(vcpu);
        state_fetch(vcpu, STATE_ALL);
        vcpu_unload(vcpu);
    }
}

void vms_release(struct vm *vm)
{
    if (instance_of(vm)->is_held)
        vms_continue(vm);
    instance_of(vm)->is_held = false;
}

status_t vms_watch(struct vm *vm, bool on)
{
    vms_hold(vm);
    status_t status = instance_watch(instance_of(vm), on);
    vms_release(vm);
    return status;
}

// ---- ending ----

void vms_stopped(struct vm *vm)
{
    CONTAINER_OF(vm, struct instance, vm)->has_left = true;
    loop_wake(0);
}

static void note_end(const struct vm *vm)
{
    enum stop_reason reason = vm->stop_reason;
    if (reason == STOP_POWEROFF)
        format_text(end_text, sizeof(end_text), "poweroff");
    else if (reason == STOP_DEBUG_EXIT)
        format_text(end_text, sizeof(end_text), "debug-exit %u", vm->stop_code);
    else
        format_text(end_text, sizeof(end_text), "stopped %s", stop_reason_text(reason));
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

// What the guest printed last may still be in its serial port.
static void finish_output(unsigned slot)
{
    struct vm *vm = &slots[slot].instance->vm;
    console_flush();
    uart2_flush(vm);
    board_uart_room(vm);
    uart2_flush(vm);
    mux_finish(&consoles, slot);
}

// A guest can reset itself a thousand times a second: ever fewer lines say so.
static void note_restart(struct slot *slot, enum stop_reason reason)
{
    unsigned count = ++slot->restarts;
    if ((count & (count - 1)) == 0)
        print_to(consoles_printer(), "corbel: VM %s: %s: restart %u (%lu frames free)\n",
                 slot->config->name, stop_reason_text(reason), count, frames_free_count());
}

static void destroy(struct slot *slot, bool again)
{
    struct explanation why;
    enum stop_reason reason = slot->instance->vm.stop_reason;
    uint64_t since = rdtsc();
    instance_destroy(slot->instance);
    slot->instance = NULL;
    if (!again)
        return;
    note_restart(slot, reason);
    if (start_in(slot, since, &why) != STATUS_OK)
        print_to(consoles_printer(), "corbel: %s\n", why.text);
}

static void print_summary(const struct instance *instance)
{
    uint64_t received[VM_VCPUS];
    const struct vm *vm = &instance->vm;
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        received[i] = instance->machine.entity[i]->received;
    summary_print(consoles_printer(), vm);
    summary_times(consoles_printer(), vm, clock_ns(&vm->clock, rdtsc()), received);
}

static void bury(struct slot *slot)
{
    struct instance *instance = slot->instance;
    enum config_action action = instance->is_killed  ? ACTION_DESTROY
                                : instance->is_reset ? ACTION_RESTART
                                                     : action_for(&instance->vm);
    instance->is_buried = true;
    note_end(&instance->vm);
    finish_output((unsigned)(slot - slots));
    if (action != ACTION_RESTART)
        print_summary(instance);
    if (action != ACTION_PRESERVE)
        destroy(slot, action == ACTION_RESTART);
}

void vms_attend(void)
{
    for (unsigned slot = 0; slot < CONFIG_VMS; slot++) {
        struct instance *instance = slots[slot].instance;
        if (instance && instance->has_left && !instance->is_buried)
            bury(&slots[slot]);
    }
}

static void end(struct vm *vm, enum stop_reason reason)
{
    if (vms_is_preserved(vm)) {
        destroy(&slots[vm->id - 1], reason == STOP_RESET);
        return;
    }
    vm_stop(vm, reason, 0);
    vms_continue(vm); // a paused one has to run to leave
}

void vms_kill(struct vm *vm)
{
    instance_of(vm)->is_killed = true; // also if it is on its way to a restart
    end(vm, STOP_KILLED);
}

void vms_reset(struct vm *vm)
{
    instance_of(vm)->is_reset = true;
    end(vm, STOP_RESET);
}

void vms_kill_all(void)
{
    for (unsigned slot = 0; slot < CONFIG_VMS; slot++)
        if (vms_at(slot))
            vms_kill(vms_at(slot));
}

void vms_print_frames(struct printer *to)
{
    print_to(to, "corbel: %lu frames free, %lu before the first VM\n", frames_free_count(),
             frames_at_start);
}

const char *vms_end_text(void)
{
    return end_text;
}
