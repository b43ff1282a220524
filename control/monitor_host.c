// The monitor's door to the machine half: VMs by their slots, CPUs, memory, time.

#include "control/monitor_host.h"

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/registers.h"
#include "arch/x86_64/tsc.h"
#include "control/agents.h"
#include "control/consoles.h"
#include "control/cpu_report.h"
#include "control/networks.h"
#include "control/session.h"
#include "control/vms.h"
#include "drivers/virt/board.h"
#include "drivers/virt/board_report.h"
#include "lib/string.h"
#include "mm/tables/frames.h"
#include "mm/paging.h"
#include "vmx/dump.h"
#include "vmx/vmx.h"

static uint64_t nanoseconds(uint64_t cycles)
{
    struct clock clock;
    clock_init(&clock, host_tsc_hz, 0);
    return clock_ns(&clock, cycles);
}

static struct monitor_vm vm_in(unsigned slot)
{
    static const enum monitor_state states[LIFE_STATES] = {
        [LIFE_ABSENT] = MONITOR_ENDED,        [LIFE_BUILDING] = MONITOR_STARTING,
        [LIFE_RUNNING] = MONITOR_RUNNING,     [LIFE_PAUSED] = MONITOR_PAUSED,
        [LIFE_LEAVING] = MONITOR_ENDING,      [LIFE_FLUSHING] = MONITOR_ENDING,
        [LIFE_PRESERVED] = MONITOR_PRESERVED, [LIFE_CLEARING] = MONITOR_ENDED,
    };
    const struct vm_config *config = vms_config(slot);
    if (!config)
        return (struct monitor_vm){0};
    struct life life = vms_life(slot);
    return (struct monitor_vm){
        .name = config->name,
        .config = config,
        .vm = vms_at(slot),
        .state = life_is_starting(&life) ? MONITOR_STARTING : states[life.state],
    };
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
        .weight = entity->group->weight,
        .cap = entity->group->cap,
        .received = entity->received,
        .waited = entity->waited,
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

static void get_held(unsigned slot, uint64_t *alone, uint64_t *shared)
{
    struct frames_held held = frames_held(slot + 1);
    *alone = held.alone * PAGE_SIZE;
    *shared = held.shared * PAGE_SIZE;
}

static bool get_balloon(struct vm *vm, struct monitor_balloon *balloon)
{
    struct balloon_report report;
    if (!board_report_balloon(vm, &report))
        return false;
    *balloon = (struct monitor_balloon){.actual = report.actual, .target = report.target};
    _Static_assert(sizeof(balloon->stats) == sizeof(report.stats), "the same statistics");
    memcpy(balloon->stats, report.stats, sizeof(report.stats));
    return true;
}

static void get_memory(uint64_t *free_bytes, uint64_t *total_bytes, uint64_t *ours)
{
    *free_bytes = frames_free_count() * PAGE_SIZE;
    *total_bytes = frames_total_count() * PAGE_SIZE;
    *ours = *total_bytes - *free_bytes;
    for (unsigned owner = FRAMES_CORBEL + 1; owner < FRAME_OWNERS; owner++)
        *ours -= frames_held(owner).alone * PAGE_SIZE;
}

// ---- network cards ----

static unsigned cards_in(unsigned slot)
{
    const struct networks *networks = vms_networks(slot);
    return networks ? networks->count : 0;
}

static void set_link(unsigned slot, unsigned card, bool is_up)
{
    net_port_set_link(&vms_networks(slot)->card[card].port, is_up);
}

static void announce(unsigned slot, unsigned card)
{
    net_port_announce(&vms_networks(slot)->card[card].port);
}

static status_t netdump(unsigned slot, unsigned card, bool on)
{
    struct network_card *at = &vms_networks(slot)->card[card];
    return netdump_switch(&at->dump, &at->port, on);
}

static void print_netdump(struct printer *to, unsigned slot, unsigned card)
{
    struct network_card *at = &vms_networks(slot)->card[card];
    netdump_print(to, &at->dump, at->name);
}

static void print_cards(struct printer *to, unsigned slot)
{
    const struct networks *networks = vms_networks(slot);
    if (networks)
        networks_print(to, networks);
}

static bool card_in(unsigned slot, unsigned number, struct monitor_card *card)
{
    if (number >= cards_in(slot))
        return false;
    const struct net_port *port = &vms_networks(slot)->card[number].port;
    *card = (struct monitor_card){.sent_frames = port->sent.frames,
                                  .sent_bytes = port->sent.bytes,
                                  .received_frames = port->received.frames,
                                  .received_bytes = port->received.bytes};
    for (unsigned reason = 0; reason < NET_DROPS; reason++)
        card->dropped += port->dropped[reason];
    return true;
}

static bool streams_in(unsigned slot, struct monitor_streams *streams)
{
    const struct vsock *vsock = session_vsock(slot);
    if (vsock)
        *streams = (struct monitor_streams){.open = vsock->open,
                                            .opened = vsock->opened,
                                            .refused = vsock->refused,
                                            .broken = vsock->broken};
    return vsock;
}

// ---- the machine ----

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
    cpu_report(to, true);
}

const struct monitor_host monitor_host = {
    .vm = vm_in,
    .vcpu = vcpu_in,
    .cpu = cpu_in,
    .pause = vms_pause,
    .resume = vms_resume,
    .kill = vms_kill,
    .reset = vms_reset,
    .power_down = vms_power_down,
    .agent = agents_order,
    .save = vms_save,
    .start = vms_start_again,
    .hold = vms_hold,
    .release = vms_release,
    .watch = vms_watch,
    .set_balloon = board_set_balloon,
    .balloon = get_balloon,
    .news = vms_news,
    .disk_bytes = vms_disk_bytes,
    .quit = vms_kill_all,
    .focus = focus_on,
    .resize = consoles_resize,
    .cards = cards_in,
    .set_link = set_link,
    .announce = announce,
    .netdump = netdump,
    .print_netdump = print_netdump,
    .print_cards = print_cards,
    .print_switches = networks_print_switches,
    .card = card_in,
    .streams = streams_in,
    .print_streams = sessions_print,
    .memory = get_memory,
    .held = get_held,
    .place = place_of,
    .uptime = uptime,
    .print_vmcs = dump_vmcs,
    .print_irq = board_report_irq,
    .print_devices = board_report_devices,
    .print_pci = board_report_pci,
    .print_capabilities = print_capabilities,
    .version = "Corbel, a hypervisor for Intel VMX",
};
