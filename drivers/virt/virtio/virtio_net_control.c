// What the driver of a network card asks for: features, and commands on the control queue. virtio
// specification: "Feature bit requirements", "Control Virtqueue".
#include "drivers/virt/virtio/virtio_net_driver.h"

#define PIECE_COMMANDS 16
#define TABLE_MOST     64 // entries of a table of addresses; of more, all are taken
#define ADDRESS_BYTES  6
#define BROADCAST      BITS(47, 0)

enum { CLASS_MODE, CLASS_MAC, CLASS_VLAN, CLASS_ANNOUNCE, CLASS_PAIRS, CLASS_OFFLOADS };
enum { MAC_TABLE, MAC_ADDRESS };
enum { VLAN_ADD, VLAN_REMOVE };
enum { COMMAND_BYTES = 2 }; // class and command
enum { ACK_OK, ACK_ERROR };

bool virtio_net_accepts(const struct virtio *device, uint64_t features)
{
    (void)device;
    static const struct {
        uint64_t features, need; // one of
    } rules[] = {
        {NET_F_HOST_TSO4 | NET_F_HOST_TSO6, NET_F_CSUM},
        {NET_F_HOST_ECN, NET_F_HOST_TSO4 | NET_F_HOST_TSO6},
        {NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6, NET_F_GUEST_CSUM},
        {NET_F_GUEST_ECN, NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6},
        {NET_F_GUEST_OFFLOADS | NET_F_CTRL_RX | NET_F_CTRL_VLAN | NET_F_CTRL_RX_EXTRA |
             NET_F_ANNOUNCE | NET_F_MQ | NET_F_CTRL_MAC,
         NET_F_CTRL_VQ},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(rules); i++)
        if ((features & rules[i].features) && !(features & rules[i].need))
            return false;
    return true;
}

unsigned virtio_net_control_queue(const struct virtio_net *net)
{
    return net->virtio.features & NET_F_MQ ? 2 * (unsigned)net->pairs : 2;
}

// ---- which frames ----

static uint64_t group_bit(uint64_t address)
{
    return BIT(address * UINT64_C(0x9e3779b97f4a7c15) >> 58);
}

bool virtio_net_wants(const struct virtio_net *net, uint64_t target, uint16_t vlan)
{
    uint64_t mode = net->mode;
    if (vlan && (net->virtio.features & NET_F_CTRL_VLAN) &&
        !(net->vlan[vlan / 64] & BIT(vlan % 64)))
        return false;
    if (mode & NET_MODE_PROMISCUOUS)
        return true;
    if (!net_is_group(target))
        return !(mode & NET_MODE_NO_UNICAST) &&
               (target == net->port->address || (mode & NET_MODE_ALL_UNICAST));
    if (target == BROADCAST)
        return !(mode & NET_MODE_NO_BROADCAST);
    return !(mode & NET_MODE_NO_MULTICAST) &&
           ((mode & NET_MODE_ALL_MULTICAST) || (net->groups & group_bit(target)));
}

// ---- commands: false, if it is none or the device does not do it ----

static bool read(struct virtio_net *net, uint64_t offset, void *to, uint64_t length)
{
    return virtio_chain_read(&net->virtio.chain, virtio_memory(&net->virtio), offset, to, length);
}

static bool set_mode(struct virtio_net *net, unsigned command)
{
    uint8_t is_on;
    uint64_t feature = command < 2 ? NET_F_CTRL_RX : NET_F_CTRL_RX_EXTRA;
    if (command > 5 || !(net->virtio.features & feature) || !read(net, COMMAND_BYTES, &is_on, 1))
        return false;
    net->mode = (net->mode & ~BIT(command)) | (is_on ? BIT(command) : 0);
    return true;
}

// Two tables: of its own addresses, of which the switch knows the one that counts, and of groups'.
static bool set_table(struct virtio_net *net)
{
    uint8_t number[4], table[TABLE_MOST * ADDRESS_BYTES], address[8] = {0};
    uint64_t groups = 0, at = COMMAND_BYTES;
    if (!(net->virtio.features & NET_F_CTRL_RX) || !read(net, at, number, sizeof(number)))
        return false;
    at += sizeof(number) + (uint64_t)get32(number) * ADDRESS_BYTES;
    if (!read(net, at, number, sizeof(number)))
        return false;
    at += sizeof(number);
    uint32_t count = get32(number), some = MIN(count, TABLE_MOST);
    if (!read(net, at, table, some * ADDRESS_BYTES))
        return false;
    for (uint32_t i = 0; i < some; i++) {
        memcpy(address, table + i * ADDRESS_BYTES, ADDRESS_BYTES);
        groups |= group_bit(get64(address));
    }
    net->groups = count > TABLE_MOST ? ~0ULL : groups;
    return true;
}

static bool set_address(struct virtio_net *net)
{
    uint8_t address[8] = {0};
    if (!(net->virtio.features & NET_F_CTRL_MAC) ||
        !read(net, COMMAND_BYTES, address, ADDRESS_BYTES) ||
        !net_port_set_address(net->port, get64(address)))
        return false;
    memcpy(net->virtio.config + NET_CONFIG_MAC, address, ADDRESS_BYTES);
    return true;
}

static bool set_vlan(struct virtio_net *net, unsigned command)
{
    uint8_t number[2];
    if (!(net->virtio.features & NET_F_CTRL_VLAN) || command > VLAN_REMOVE ||
        !read(net, COMMAND_BYTES, number, sizeof(number)) || get16(number) >= NET_VLANS)
        return false;
    uint64_t *word = &net->vlan[index_below(get16(number), NET_VLANS) / 64];
    uint64_t bit = BIT(get16(number) % 64);
    *word = command == VLAN_ADD ? *word | bit : *word & ~bit;
    return true;
}

static bool set_pairs(struct virtio_net *net)
{
    uint8_t number[2];
    if (!(net->virtio.features & NET_F_MQ) || !read(net, COMMAND_BYTES, number, sizeof(number)) ||
        !get16(number) || get16(number) > net->pairs)
        return false;
    net->used_pairs = get16(number);
    return true;
}

static bool set_offloads(struct virtio_net *net)
{
    uint8_t offloads[8];
    uint64_t negotiated = net->virtio.features & NET_F_GUEST;
    if (!(net->virtio.features & NET_F_GUEST_OFFLOADS) ||
        !read(net, COMMAND_BYTES, offloads, sizeof(offloads)) || (get64(offloads) & ~negotiated))
        return false;
    net->refused = negotiated & ~get64(offloads);
    return true;
}

static bool acknowledge(struct virtio_net *net)
{
    if (!(net->virtio.features & NET_F_ANNOUNCE))
        return false;
    net->virtio.config[NET_CONFIG_STATUS] &= (uint8_t)~NET_STATUS_ANNOUNCE;
    return true;
}

// Under the shared lock.
static bool obey(struct virtio_net *net)
{
    uint8_t command[COMMAND_BYTES];
    if (!read(net, 0, command, COMMAND_BYTES))
        return false;
    switch (command[0]) {
    case CLASS_MODE:
        return set_mode(net, command[1]);
    case CLASS_MAC:
        return command[1] == MAC_TABLE     ? set_table(net)
               : command[1] == MAC_ADDRESS ? set_address(net)
                                           : false;
    case CLASS_VLAN:
        return set_vlan(net, command[1]);
    case CLASS_ANNOUNCE:
        return command[1] == 0 && acknowledge(net);
    case CLASS_PAIRS:
        return command[1] == 0 && set_pairs(net);
    case CLASS_OFFLOADS:
        return command[1] == 0 && set_offloads(net);
    default:
        return false;
    }
}

bool virtio_net_control(struct virtio_net *net)
{
    struct virtio *device = &net->virtio;
    unsigned queue = virtio_net_control_queue(net), done = 0;
    if (net->is_active)
        return true; // the chain is that frame's
    while (done < PIECE_COMMANDS && virtio_take(device, queue)) {
        virtio_hold(device);
        uint8_t ack = obey(net) ? ACK_OK : ACK_ERROR;
        virtio_release(device);
        done++;
        if (!virtio_chain_write(&device->chain, virtio_memory(device), 0, &ack, 1)) {
            virtio_break(device, "a command has no room for its answer");
            return false;
        }
        virtio_give(device, queue, 1);
    }
    virtio_tell(device, queue);
    return done == PIECE_COMMANDS;
}
