// The set of VMs and what happens to each: start, pause, reset, end.

#include "boot/vms.h"

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/tsc.h"
#include "drivers/host/console.h"
#include "boot/instance.h"
#include "lib/string.h"
#include "monitor/summary.h"
#include "vmx/loop.h"
#include "vmx/run.h"

static struct vms_inputs inputs;
static struct instance *instances[CONFIG_VMS]; // of CPU 0; holes are VMs that are gone
static char end_text[64] = "stopped no VM could be started";

void vms_init(const struct vms_inputs *given)
{
    inputs = *given;
}

// ---- services for the guest half ----

static bool console_write_byte(struct vm *vm, unsigned port, uint8_t byte)
{
    (void)vm;
    char text = (char)byte;
    if (port != 0)
        return true;
    // The guest waits for a slow line instead of losing text; vms_console_room() lets it go on.
    if (!console_has_room(1))
        return false;
    console_write(&text, 1);
    return true;
}

static uint64_t wall_clock(struct vm *vm)
{
    return CONTAINER_OF(vm, struct instance, vm)->wall_clock;
}

static void log_line(struct vm *vm, const char *text)
{
    print_to(console_printer(), "[%s] %s\n", vm->config.name, text);
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
    print_to(console_printer(),
             "corbel: %s: pin = %u: there is no such CPU: vCPU %u may run anywhere\n", config->name,
             cpu, vcpu);
    return SCHED_ANY_CPU;
}

static void schedule(struct instance *instance)
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
        };
        instance->machine.entity[i] = &vcpu->sched;
    }
    for (unsigned i = 0; i < count; i++)
        loop_add(vmx_vcpu(instance->vm.vcpu[i]));
}

static status_t start_at(unsigned slot, const struct vm_config *config, struct explanation *why)
{
    instances[slot] = instance_create(config, &services, &inputs, why);
    if (!instances[slot])
        return STATUS_INVALID;
    instances[slot]->vm.id = slot + 1;
    schedule(instances[slot]);
    return STATUS_OK;
}

status_t vms_start(const struct vm_config *config, struct explanation *why)
{
    for (unsigned slot = 0; slot < CONFIG_VMS; slot++)
        if (!instances[slot])
            return start_at(slot, config, why);
    return explain(why, STATUS_FULL, "%s: there are %u VMs already", config->name, CONFIG_VMS);
}

unsigned vms_running(void)
{
    unsigned count = 0;
    for (unsigned slot = 0; slot < CONFIG_VMS; slot++)
        count += instances[slot] && !instances[slot]->has_left;
    return count;
}

struct vm *vms_at(unsigned slot)
{
    return slot < CONFIG_VMS && instances[slot] ? &instances[slot]->vm : NULL;
}

void vms_console_room(void)
{
    for (unsigned slot = 0; slot < CONFIG_VMS; slot++)
        if (instances[slot])
            board_uart_room(&instances[slot]->vm);
}

void vms_kill(struct vm *vm)
{
    vm_stop(vm, STOP_KILLED, 0);
    vms_continue(vm); // a paused one has to run to leave
}

void vms_kill_all(void)
{
    for (unsigned slot = 0; slot < CONFIG_VMS; slot++)
        if (instances[slot])
            vms_kill(&instances[slot]->vm);
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

static void bury(unsigned slot)
{
    static struct vm_config config;
    struct explanation why;
    struct instance *instance = instances[slot];
    enum config_action action = action_for(&instance->vm);
    note_end(&instance->vm);
    summary_print(console_printer(), &instance->vm);
    if (action == ACTION_PRESERVE)
        return;
    config = instance->vm.config;
    instances[slot] = NULL;
    instance_destroy(instance);
    if (action == ACTION_RESTART && start_at(slot, &config, &why) != STATUS_OK)
        print_to(console_printer(), "corbel: %s\n", why.text);
}

void vms_attend(void)
{
    for (unsigned slot = 0; slot < CONFIG_VMS; slot++) {
        struct instance *instance = instances[slot];
        if (instance && instance->has_left && !instance->is_buried) {
            instance->is_buried = true;
            bury(slot);
        }
    }
}

const char *vms_end_text(void)
{
    return end_text;
}
