// Ports of a switch: their devices, links and addresses. Called by who owns the ports, and by the
// devices at them.
#include "drivers/virt/net/switch.h"

const char *net_drop_text(enum net_drop reason)
{
    static const char *const texts[] = {
#define TEXT(name, text) [NET_DROP_##name] = (text),
        NET_DROP_REASONS(TEXT)};
    return texts[reason];
}

// Whether a port has the address; one that was learnt counts for nothing.
static bool is_taken(const struct net_switch *in, uint64_t address)
{
    uint32_t seen;
    return net_address_find(&in->addresses, address, &seen) != NET_NOWHERE &&
           seen == NET_ADDRESS_KNOWN;
}

static bool has_limit(const struct net_port *port)
{
    return net_rate_is_set(&port->sent_bytes) || net_rate_is_set(&port->sent_frames) ||
           net_rate_is_set(&port->received_bytes) || net_rate_is_set(&port->received_frames);
}

status_t net_port_add(struct net_switch *in, struct net_port *port, struct explanation *why)
{
    status_t status = STATUS_OK;
    spin_lock(&in->lock);
    unsigned number = in->count;
    if (number == NET_PORTS)
        status = explain(why, STATUS_FULL, "%s: switch %s has its %u ports", port->name, in->name,
                         NET_PORTS);
    else if (is_taken(in, port->mac))
        status = explain(why, STATUS_OVERLAP, "%s: another port of switch %s has its address",
                         port->name, in->name);
    else if (!net_address_put(&in->addresses, port->mac, number, NET_ADDRESS_KNOWN))
        status =
            explain(why, STATUS_FULL, "%s: switch %s has no place for its address: choose another",
                    port->name, in->name);
    if (status == STATUS_OK) {
        port->in = in;
        port->number = number;
        port->address = port->mac;
        port->is_limited = has_limit(port);
        atomic_store(&in->port[number], port);
        atomic_store(&in->count, number + 1);
        in->uplinks += port->is_uplink;
    }
    spin_unlock(&in->lock);
    return status;
}

void net_port_connect(struct net_port *port, const struct net_device_class *class, void *device,
                      struct vm *vm, const struct gmem *beside)
{
    spin_lock(&port->lock);
    port->device = device;
    port->vm = vm;
    port->beside = beside;
    port->class = class;
    class->link(device, !port->is_down);
    spin_unlock(&port->lock);
}

void net_port_disconnect(struct net_port *port)
{
    spin_lock(&port->lock); // whoever had it reached the device; nobody will again
    port->class = NULL;
    port->device = NULL;
    port->vm = NULL;
    port->beside = NULL;
    spin_unlock(&port->lock);
}

void net_port_set_link(struct net_port *port, bool is_up)
{
    spin_lock(&port->lock);
    __atomic_store_n(&port->is_down, !is_up, __ATOMIC_RELAXED);
    if (port->class)
        port->class->link(port->device, is_up);
    spin_unlock(&port->lock);
}

bool net_port_is_up(const struct net_port *port)
{
    return !__atomic_load_n(&port->is_down, __ATOMIC_RELAXED);
}

void net_port_announce(struct net_port *port)
{
    spin_lock(&port->lock);
    if (port->class)
        port->class->announce(port->device);
    spin_unlock(&port->lock);
}

void net_port_capture(struct net_port *port, struct net_capture *capture)
{
    spin_lock(&port->lock);
    atomic_store(&port->capture, capture);
    spin_unlock(&port->lock);
}

bool net_port_set_address(struct net_port *port, uint64_t address)
{
    struct net_switch *in = port->in;
    if (address == port->address)
        return true;
    if (address != port->mac && (!port->may_change_mac || net_is_group(address) || !address))
        return false;
    spin_lock(&in->lock);
    bool is_free = !is_taken(in, address) &&
                   net_address_put(&in->addresses, address, port->number, NET_ADDRESS_KNOWN);
    if (is_free) {
        net_address_remove(&in->addresses, port->address);
        __atomic_store_n(&port->address, address, __ATOMIC_RELAXED);
    }
    spin_unlock(&in->lock);
    return is_free;
}

uint64_t net_port_wait_for_rate(struct net_port *port)
{
    uint64_t now = port->in->host->now();
    uint64_t bytes = net_rate_wait(&port->sent_bytes, now);
    uint64_t wait = MAX(bytes, net_rate_wait(&port->sent_frames, now));
    if (wait && !port->waits)
        __atomic_store_n(&port->waited, port->waited + 1, __ATOMIC_RELAXED);
    port->waits = wait;
    return wait;
}
