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
    .kick = run_kick,
    .console_write = console_write_byte,
    .wall_clock = wall_clock,
    .log = log_line,
};

static void give_to_cpus(struct instance *instance)
{
    static unsigned next_cpu;
    unsigned online = 0, online_cpus[CPUS];
    for (unsigned i = 0; i < cpu_count; i++)
        if (cpus[i].online)
            online_cpus[online++] = i;
    for (unsigned i = 0; i < instance->vm.vcpu_count; i++)
        loop_add(vmx_vcpu(instance->vm.vcpu[i]), online_cpus[next_cpu++ % online]);
}

static status_t start_at(unsigned slot, const struct vm_config *config, struct explanation *why)
{
    instances[slot] = instance_create(config, &services, &inputs, why);
    if (!instances[slot])
        return STATUS_INVALID;
    instances[slot]->vm.id = slot + 1;
    give_to_cpus(instances[slot]);
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

void vms_kill_all(void)
{
    for (unsigned slot = 0; slot < CONFIG_VMS; slot++)
        if (instances[slot])
            vm_stop(&instances[slot]->vm, STOP_KILLED, 0);
}

// ---- pausing: VM time and the guest's TSC stand still ----

void vms_pause(struct vm *vm)
{
    struct instance *instance = CONTAINER_OF(vm, struct instance, vm);
    if (instance->machine.paused)
        return;
    instance->machine.paused = true;
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        vcpu_request(vm->vcpu[i], REQUEST_SCHEDULE);
        while (vmx_vcpu(vm->vcpu[i])->running)
            pause();
    }
    instance->paused_at = rdtsc();
}

void vms_continue(struct vm *vm)
{
    struct instance *instance = CONTAINER_OF(vm, struct instance, vm);
    if (!instance->machine.paused)
        return;
    uint64_t away = rdtsc() - instance->paused_at;
    vm->clock.epoch += away;
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        vm->vcpu[i]->tsc_offset -= away;
        vm->vcpu[i]->dirty |= STATE_TSC;
    }
    instance->machine.paused = false;
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        vcpu_request(vm->vcpu[i], REQUEST_TIMER | REQUEST_CLOCK);
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
        if (instance && instance->has_left && !instance->machine.buried) {
            instance->machine.buried = true;
            bury(slot);
        }
    }
}

const char *vms_end_text(void)
{
    return end_text;
}
