// Networks in vms.conf: the sections [switch NAME], the key `net` of a VM, and what of them can be
// judged only when the whole file is known. Called by vm/config/config.c and config_keys.c.

#include "lib/print.h"
#include "lib/string.h"
#include "vm/config/config_parser.h"

#define MTU_MIN   68 // IPv4's least; virtio allows no less
#define MTU_MAX   65535
#define RATE_MIN  UINT64_C(64000) // bits a second: a frame of full length takes a fifth of a second
#define RATE_MAX  UINT64_C(1000000000000)
#define VLAN_MAX  4094
#define QUEUE_MAX 8

// ---- [switch NAME] ----

static void set_isolation(struct config_parser *parser, struct span value)
{
    int is_on;
    if (span_means(value, config_on_off, &is_on))
        parser->network->is_isolated = is_on;
    else
        config_error(parser, "isolated = %.*s: give one of: on, off", SHOWN(value));
}

static void set_mtu(struct config_parser *parser, struct span value)
{
    uint64_t number;
    if (span_is_number(value, &number) && number >= MTU_MIN && number <= MTU_MAX)
        parser->network->mtu = (unsigned)number;
    else
        config_error(parser, "mtu = %.*s: give a number from %u to %u", SHOWN(value), MTU_MIN,
                     MTU_MAX);
}

static const struct switch_key {
    const char *name;
    void (*set)(struct config_parser *parser, struct span value);
} switch_keys[] = {{"isolated", set_isolation}, {"mtu", set_mtu}};

void config_set_switch_key(struct config_parser *parser, struct span key, struct span value)
{
    static const struct config_names names = {switch_keys, sizeof(switch_keys[0]),
                                              ARRAY_LENGTH(switch_keys)};
    unsigned i = config_find(&names, key);
    if (i == names.count) {
        config_unknown(parser, "unknown key of a switch", key, key, &names, "remove the line");
    } else if (parser->network_keys & BIT32(i)) {
        config_twice(parser, switch_keys[i].name);
    } else {
        parser->network_keys |= BIT32(i);
        switch_keys[i].set(parser, value);
    }
}

// ---- options of `net` ----

// `52:54:00:12:34:56`
static bool get_mac(struct span value, uint8_t mac[6])
{
    if (value.length != 17)
        return false;
    for (unsigned i = 0; i < 6; i++) {
        const char *at = value.at + 3UL * i;
        unsigned high = span_digit(at[0]), low = span_digit(at[1]);
        if (high > 15 || low > 15 || (i < 5 && at[2] != ':'))
            return false;
        mac[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static void set_mac(struct config_parser *parser, struct config_net *net, struct span value)
{
    static const uint8_t none[6];
    if (!get_mac(value, net->mac))
        config_error(parser, "net: mac=%.*s: write six bytes: mac=52:54:00:12:34:56", SHOWN(value));
    else if (net->mac[0] & 1)
        config_error(parser,
                     "net: mac=%.*s is the address of a group: the first byte must be even, as in "
                     "52:54:00:12:34:56",
                     SHOWN(value));
    else if (memcmp(net->mac, none, sizeof(none)) == 0)
        config_error(parser,
                     "net: mac=%.*s is no card's address; leave it out, and the card gets one",
                     SHOWN(value));
    net->has_mac = true;
}

// Bits a second, as networks count: K is a thousand.
static void set_rate(struct config_parser *parser, struct config_net *net, struct span value)
{
    struct span digits = value;
    uint64_t factor = 1, number;
    char unit = value.length ? (char)(value.at[value.length - 1] & ~0x20) : 0;
    if (unit == 'K' || unit == 'M' || unit == 'G') {
        factor = unit == 'K' ? 1000 : unit == 'M' ? 1000000 : 1000000000;
        digits.length--;
    }
    if (factor == 1)
        config_error(parser,
                     "net: rate=%.*s: bits a second, with a unit: K, M or G, as in rate=100M",
                     SHOWN(value));
    else if (!span_is_number(digits, &number) || number > RATE_MAX / factor ||
             number * factor < RATE_MIN)
        config_error(parser,
                     "net: rate=%.*s: give bits a second from 64K to 1000G, as in rate=100M",
                     SHOWN(value));
    else
        net->rate = number * factor;
}

static bool get_vlan(struct span value, uint16_t *vlan)
{
    uint64_t number;
    bool is_good = span_is_number(value, &number) && number >= 1 && number <= VLAN_MAX;
    if (is_good)
        *vlan = (uint16_t)number;
    return is_good;
}

static void set_vlan(struct config_parser *parser, struct config_net *net, struct span value)
{
    if (!get_vlan(value, &net->vlan))
        config_error(parser, "net: vlan=%.*s: give a number from 1 to %u", SHOWN(value), VLAN_MAX);
}

// `10/20-30`: VLANs.
static void set_trunk(struct config_parser *parser, struct config_net *net, struct span value)
{
    struct span rest = value, item, low;
    while (span_split(&rest, '/', &item)) {
        struct config_vlans vlans;
        span_split(&item, '-', &low);
        if (!get_vlan(low, &vlans.first) ||
            !get_vlan(item.length ? span_trim(item) : low, &vlans.last) ||
            vlans.first > vlans.last) {
            config_error(parser,
                         "net: trunk=%.*s is no list of VLANs; write numbers from 1 to %u: "
                         "trunk=10/20-30",
                         SHOWN(value), VLAN_MAX);
            return;
        }
        if (net->trunk_count == CONFIG_TRUNK) {
            config_error(parser, "net: trunk=%.*s: more than %u ranges; join some", SHOWN(value),
                         CONFIG_TRUNK);
            return;
        }
        net->trunk[net->trunk_count++] = vlans;
    }
    if (!net->trunk_count)
        config_error(parser, "net: trunk= is empty; write numbers of VLANs: trunk=10/20-30");
}

static void set_queues(struct config_parser *parser, struct config_net *net, struct span value)
{
    uint64_t number;
    if (span_is_number(value, &number) && number >= 1 && number <= QUEUE_MAX)
        net->queues = (unsigned)number;
    else
        config_error(parser, "net: queues=%.*s: give a number from 1 to %u", SHOWN(value),
                     QUEUE_MAX);
}

static void set_offloads(struct config_parser *parser, struct config_net *net, struct span value)
{
    net->no_offloads = span_is(value, "off");
    if (!net->no_offloads && !span_is(value, "on"))
        config_error(parser, "net: offloads=%.*s: give one of: on, off", SHOWN(value));
}

static void set_isolated(struct config_parser *parser, struct config_net *net, struct span value)
{
    net->is_isolated = true;
    if (value.length)
        config_error(parser, "net: isolated=%.*s: isolated takes no value", SHOWN(value));
}

static const struct option {
    const char *name;
    void (*set)(struct config_parser *parser, struct config_net *net, struct span value);
} options[] = {
    {"mac", set_mac},           {"isolated", set_isolated}, {"rate", set_rate},
    {"vlan", set_vlan},         {"trunk", set_trunk},       {"queues", set_queues},
    {"offloads", set_offloads},
};

void config_set_net(struct config_parser *parser, const char *key, struct span value)
{
    static const struct config_names names = {options, sizeof(options[0]), ARRAY_LENGTH(options)};
    struct vm_config *vm = parser->vm;
    struct span network, option, name;
    if (vm->net_count == CONFIG_NETS) {
        config_error(parser, "%s: more than %d network cards; remove some", key, CONFIG_NETS);
        return;
    }
    struct config_net *net = &vm->net[vm->net_count++];
    *net = (struct config_net){.line = parser->line};
    if (!span_split(&value, ',', &network) || !network.length || network.length >= CONFIG_NAME) {
        config_error(parser, "%s: give the name of a switch, of up to %d letters: %s = lan", key,
                     CONFIG_NAME - 1, key);
        return;
    }
    memcpy(net->network, network.at, network.length);
    while (span_split(&value, ',', &option)) {
        span_split(&option, '=', &name);
        unsigned i = config_find(&names, name);
        if (i == names.count)
            config_unknown(parser, "net: unknown option", name, name, &names,
                           "there are mac=, isolated, rate=, vlan=, trunk=, queues=, offloads=");
        else
            options[i].set(parser, net, span_trim(option));
    }
}

// ---- when all sections are known ----

static void check_switch(struct config_parser *parser, const struct config_net *net,
                         const struct config_switches *switches)
{
    const char *name[CONFIG_SWITCHES];
    const struct config_names names = {name, sizeof(name[0]), switches->count};
    const struct span wanted = {net->network, strlen(net->network)};
    char remedy[100];
    size_t used = format_text(remedy, sizeof(remedy), "%s",
                              switches->count ? "there are: " : "no switch is described: add ");
    for (unsigned i = 0; i < switches->count; i++) {
        name[i] = switches->at[i].name;
        if (used < sizeof(remedy))
            used +=
                format_text(remedy + used, sizeof(remedy) - used, "%s%s", i ? ", " : "", name[i]);
    }
    if (!switches->count)
        format_text(remedy + used, sizeof(remedy) - used, "[switch %s]", net->network);
    if (config_find(&names, wanted) == names.count)
        config_unknown(parser, "net: unknown switch", wanted, wanted, &names, remedy);
}

static bool is_at(const struct config_net *net, const uint8_t mac[6])
{
    return net->has_mac && memcmp(net->mac, mac, sizeof(net->mac)) == 0;
}

// A card of the first VMs that has the address, but `but`; *vm becomes whose it is. NULL: none.
static const struct config_net *find_mac(const struct vm_config *vms, unsigned count,
                                         const uint8_t mac[6], const struct config_net *but,
                                         const struct vm_config **vm)
{
    for (*vm = vms; *vm < vms + count; (*vm)++)
        for (unsigned i = 0; i < (*vm)->net_count; i++)
            if (&(*vm)->net[i] != but && is_at(&(*vm)->net[i], mac))
                return &(*vm)->net[i];
    return NULL;
}

static void check_mac(struct config_parser *parser, const struct vm_config *vms, unsigned count,
                      const struct config_net *net)
{
    const struct vm_config *vm;
    const struct config_net *other = find_mac(vms, count, net->mac, net, &vm);
    if (other && other->line < net->line)
        config_error(parser,
                     "net: mac=%02x:%02x:%02x:%02x:%02x:%02x is on line %u already, of VM %s; "
                     "choose another address or leave it out",
                     net->mac[0], net->mac[1], net->mac[2], net->mac[3], net->mac[4], net->mac[5],
                     other->line, vm->name);
}

// Behind QEMU's prefix: the same in each run, whatever other VMs there are, as long as none has it.
static void choose_mac(const struct vm_config *vms, unsigned count, const struct vm_config *vm,
                       struct config_net *net)
{
    const struct vm_config *other;
    uint32_t hash = 2166136261U; // FNV-1a
    for (const char *c = vm->name; *c; c++)
        hash = (hash ^ (uint8_t)*c) * 16777619U;
    hash = (hash ^ (uint32_t)(net - vm->net)) * 16777619U;
    hash ^= hash >> 24;
    do {
        memcpy(net->mac,
               (uint8_t[]){0x52, 0x54, 0, hash >> 16 & 0xff, hash >> 8 & 0xff, hash & 0xff},
               sizeof(net->mac));
        hash++;
    } while (find_mac(vms, count, net->mac, net, &other));
    net->has_mac = true;
}

void config_check_cards(struct config_parser *parser, const struct vm_config *vms, unsigned i,
                        const struct config_switches *switches)
{
    for (unsigned k = 0; k < vms[i].net_count; k++) {
        const struct config_net *net = &vms[i].net[k];
        parser->line = net->line;
        if (net->network[0])
            check_switch(parser, net, switches);
        if (net->has_mac)
            check_mac(parser, vms, i + 1, net);
    }
}

void config_choose_macs(struct vm_config *vms, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        for (unsigned k = 0; k < vms[i].net_count; k++)
            if (!vms[i].net[k].has_mac)
                choose_mac(vms, count, &vms[i], &vms[i].net[k]);
}
