// Called while VMs begin and end (control/vms.c, control/domain_work.c), and by the monitor; and by
// the switches, in the exits of VMs that send.

#include "control/networks.h"

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/registers.h"
#include "arch/x86_64/tsc.h"
#include "control/instance_inputs.h"
#include "lib/string.h"
#include "mm/paging.h"
#include "mm/tables/frames.h"
#include "vmx/vmx.h"

#define BURST_LEAST   (128U << 10) // bytes: two of the longest frames
#define BURSTS_SECOND 20           // a burst is so much of a second's bytes
#define BITS_PER_BYTE 8

_Static_assert(BOARD_NETS == CONFIG_NETS, "each card of a description has a place");

static const struct config_switches *described;
static struct net_switch *switches[CONFIG_SWITCHES];
static bool is_ready; // there was memory for all of them

// ---- what switches need ----

// This CPU's tables of two VMs, and those that it comes from.
static struct {
    uint64_t pair;
    uint64_t before;
} windows[CPUS];

static void open_window(struct net_port *from, struct net_port *to)
{
    const struct vmx_vm *sender = from->vm->vmx, *receiver = to->vm->vmx;
    unsigned cpu = this_cpu()->index;
    paging_pair_show(windows[cpu].pair, receiver->view, sender->view);
    windows[cpu].before = read_cr3();
    write_cr3(windows[cpu].pair);
}

static void close_window(struct net_port *from, struct net_port *to)
{
    (void)from;
    (void)to;
    write_cr3(windows[this_cpu()->index].before);
}

static uint64_t now(void)
{
    return inputs_wall_clock(rdtsc());
}

static const struct net_host host = {.now = now, .open = open_window, .close = close_window};

// ---- switches ----

static status_t make_switch(unsigned i, struct explanation *why)
{
    const struct config_switch *config = &described->at[i];
    uint64_t size = align_up(sizeof(struct net_switch), PAGE_SIZE);
    struct net_switch *made = frames_allocate(size, PAGE_SIZE, FRAMES_CORBEL);
    if (!made)
        return explain(why, STATUS_NO_MEMORY, "vms.conf:%u: no memory for switch %s", config->line,
                       config->name);
    memset(made, 0, size);
    made->name = config->name;
    made->host = &host;
    made->mtu = config->mtu;
    switches[i] = made;
    return STATUS_OK;
}

status_t networks_init(const struct config_switches *config, struct explanation *why)
{
    status_t status = STATUS_OK;
    described = config;
    for (unsigned i = 0; i < config->count && status == STATUS_OK; i++)
        status = make_switch(i, why);
    for (unsigned i = 0; i < cpu_count && config->count && status == STATUS_OK; i++) {
        windows[i].pair = paging_pair_make();
        if (!windows[i].pair)
            status = explain(why, STATUS_NO_MEMORY, "no memory for the switches of vms.conf");
    }
    is_ready = status == STATUS_OK;
    return status;
}

// ---- ports ----

static uint64_t mac_number(const uint8_t mac[6])
{
    uint64_t number = 0;
    for (unsigned i = 0; i < 6; i++)
        number |= (uint64_t)mac[i] << 8 * i;
    return number;
}

static void describe_port(struct net_port *port, const struct config_net *config,
                          const struct config_switch *at)
{
    port->mac = mac_number(config->mac);
    port->is_isolated = config->is_isolated || at->is_isolated;
    port->has_no_offloads = config->no_offloads;
    port->pairs = (uint8_t)config->queues;
    port->vlan = config->vlan;
    port->is_trunk = config->trunk_count;
    for (unsigned i = 0; i < config->trunk_count; i++)
        for (unsigned vlan = config->trunk[i].first; vlan <= config->trunk[i].last; vlan++)
            port->trunk[vlan / 64] |= BIT(vlan % 64);
    uint64_t rate = config->rate / BITS_PER_BYTE;
    uint64_t burst = MIN(MAX(rate / BURSTS_SECOND, BURST_LEAST), UINT32_MAX);
    net_rate_set(&port->sent_bytes, rate, burst);
    net_rate_set(&port->received_bytes, rate, burst);
    net_rate_set(&port->flooded, NET_FLOOD_RATE, NET_FLOOD_BURST);
}

// That of the card, which the parser has seen.
static unsigned switch_of(const struct config_net *net)
{
    unsigned i = 0;
    while (i < described->count && strcmp(described->at[i].name, net->network) != 0)
        i++;
    return i;
}

static status_t add_card(struct networks *networks, const struct vm_config *config, unsigned i,
                         struct explanation *why)
{
    const struct config_net *net = &config->net[i];
    struct network_card *card = &networks->card[networks->count++];
    unsigned at = switch_of(net);
    struct explanation wrong;
    if (!is_ready)
        return config_explain_line(why, STATUS_NO_MEMORY, config, net->line,
                                   "net: the switches found no memory");
    format_text(card->name, sizeof(card->name), "%s.net%u", config->name, i);
    card->port.name = card->name;
    describe_port(&card->port, net, &described->at[at]);
    status_t status = net_port_add(switches[at], &card->port, &wrong);
    return status == STATUS_OK
               ? STATUS_OK
               : config_explain_line(why, status, config, net->line, "net: %s", wrong.text);
}

status_t networks_make(struct networks **networks, const struct vm_config *config,
                       struct explanation *why)
{
    static struct networks none;
    uint64_t size = align_up(sizeof(struct networks), PAGE_SIZE);
    status_t status = STATUS_OK;
    *networks = &none;
    if (!config->net_count)
        return STATUS_OK;
    *networks = frames_allocate(size, PAGE_SIZE, FRAMES_CORBEL);
    if (!*networks)
        return config_explain(why, STATUS_NO_MEMORY, config, "net", "no memory for its networks");
    memset(*networks, 0, size);
    for (unsigned i = 0; i < config->net_count && status == STATUS_OK; i++)
        status = add_card(*networks, config, i, why);
    return status;
}

// ---- VMs ----

void networks_describe(struct networks *networks, struct board_parts *parts)
{
    for (unsigned i = 0; i < networks->count; i++)
        parts->port[parts->port_count++] = &networks->card[i].port;
}

void networks_connect(struct networks *networks, struct vm *vm)
{
    struct board *board = vm->board;
    gmem_beside(&networks->beside, &vm->memory, PAGING_OTHER - PAGING_WINDOW);
    for (unsigned i = 0; i < networks->count; i++)
        virtio_net_connect(&board->net[i], &networks->beside);
}

void networks_disconnect(struct networks *networks, struct vm *vm)
{
    struct board *board = vm->board;
    for (unsigned i = 0; i < networks->count && board; i++)
        virtio_net_disconnect(&board->net[i]);
}

// ---- looking ----

static void print_port(struct printer *to, const struct net_port *port)
{
    const uint8_t *mac = (const uint8_t *)&port->address;
    print_to(to, "%s: switch=%s,macaddr=%02x:%02x:%02x:%02x:%02x:%02x,link=%s", port->name,
             port->in->name, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5],
             net_port_is_up(port) ? "on" : "off");
    if (port->vlan)
        print_to(to, ",vlan=%u", port->vlan);
    print_to(to, "%s%s%s\n", port->is_trunk ? ",trunk" : "", port->is_isolated ? ",isolated" : "",
             port->class ? "" : ",no card");
    print_to(to, " \\ sent %lu frames, %lu bytes; received %lu frames, %lu bytes\n",
             port->sent.frames, port->sent.bytes, port->received.frames, port->received.bytes);
    if (port->waited)
        print_to(to, " \\ waited %lu times: above the rate\n", port->waited);
    for (unsigned reason = 0; reason < NET_DROPS; reason++)
        if (port->dropped[reason])
            print_to(to, " \\ dropped %lu: %s\n", port->dropped[reason], net_drop_text(reason));
}

void networks_print(struct printer *to, const struct networks *networks)
{
    for (unsigned i = 0; i < networks->count; i++) {
        print_port(to, &networks->card[i].port);
        netdump_print_state(to, &networks->card[i].dump);
    }
}

void networks_print_switches(struct printer *to)
{
    for (unsigned i = 0; described && i < described->count; i++)
        if (switches[i])
            print_to(to, "switch %s: %u ports, mtu %u%s\n", switches[i]->name, switches[i]->count,
                     switches[i]->mtu, described->at[i].is_isolated ? ", isolated" : "");
    if (!described || !described->count)
        print_to(to, "no switch is described: see [switch NAME] of vms.conf\n");
}
