// The monitor's door to the machine half: VMs by their slots, CPUs, memory, time.

#include "boot/monitor_host.h"

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/registers.h"
#include "arch/x86_64/tsc.h"
#include "boot/consoles.h"
#include "boot/vms.h"
#include "boot/vmx_start.h"
#include "drivers/host/console.h"
#include "drivers/virt/board.h"
#include "drivers/virt/board_report.h"
#include "mm/frames.h"
#include "mm/paging.h"
#include "vmx/machine.h"

static uint64_t nanoseconds(uint64_t cycles)
{
    struct clock clock;
    clock_init(&clock, host_tsc_hz, 0);
    return clock_ns(&clock, cycles);
}

static struct monitor_vm vm_in(unsigned slot)
{
    const struct vm_config *config = vms_config(slot);
    struct monitor_vm found = {.vm = vms_at(slot)};
    if (!config)
        return found;
    found.name = config->name;
    found.state = vms_is_starting(slot)        ? MONITOR_STARTING
                  : !found.vm                  ? MONITOR_ENDED
                  : vms_is_preserved(found.vm) ? MONITOR_PRESERVED
                  : vms_is_paused(found.vm)    ? MONITOR_PAUSED
                                               : MONITOR_RUNNING;
    return found;
}

static struct monitor_vcpu vcpu_in(struct vcpu *vcpu)
{
    static const char *const states[] = {[SCHED_PARKED] = "parked",
                                         [SCHED_QUEUED] = "queued",
                                         [SCHED_RUNNING] = "running",
                                         [SCHED_BLOCKED] = "waiting",
                                         [SCHED_THROTTLED] = "throttled"};
    const struct sched_entity *entity = &vmx_vcpu(vcpu)->sched;
    return (struct monitor_vcpu){
        .state = states[entity->state],
        .cpu = entity->cpu,
        .pinned = entity->pinned == SCHED_ANY_CPU ? -1 : entity->pinned,
        .weight = entity->weight,
        .cap = entity->cap,
        .received = entity->received,
    };
}

static bool cpu_in(unsigned index, struct monitor_cpu *cpu)
{
    if (index >= cpu_count)
        return false;
    struct vmx_vcpu *running = vmx_cpus[index].running;
    *cpu = (struct monitor_cpu){
        .is_online = cpus[index].online,
        .apic_id = cpus[index].apic_id,
        .idle = nanoseconds(vmx_cpus[index].idle_cycles),
        .running = running ? &running->guest : NULL,
    };
    return true;
}

static void focus_on(unsigned slot)
{
    mux_focus(&consoles, slot);
}

static void get_memory(uint64_t *free_bytes, uint64_t *total_bytes)
{
    *free_bytes = frames_free_count() * PAGE_SIZE;
    *total_bytes = frames_total_count() * PAGE_SIZE;
}

static uint64_t place_of(const void *ram)
{
    return paging_window_hpa(ram).value;
}

static uint64_t uptime(void)
{
    return nanoseconds(rdtsc());
}

static void print_capabilities(struct printer *to)
{
    vmx_start_report(to, true);
}

const struct monitor_host monitor_host = {
    .vm = vm_in,
    .vcpu = vcpu_in,
    .cpu = cpu_in,
    .pause = vms_pause,
    .resume = vms_continue,
    .kill = vms_kill,
    .reset = vms_reset,
    .power_button = board_power_button,
    .start = vms_start_again,
    .hold = vms_hold,
    .release = vms_release,
    .watch = vms_watch,
    .quit = vms_kill_all,
    .focus = focus_on,
    .memory = get_memory,
    .place = place_of,
    .uptime = uptime,
    .print_irq = board_report_irq,
    .print_capabilities = print_capabilities,
    .read_log = console_read_log,
    .version = "Corbel, a hypervisor for Intel VMX",
};
