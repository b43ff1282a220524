// Switches of vms.conf, and the ports that domains have at them. A domain's ports outlive its VMs:
// they keep their place, their link and their counters; the network cards of a VM come and go.
#pragma once

#include "control/netdump.h"
#include "drivers/virt/board.h"
#include "vm/config/config.h"

struct network_card {
    char name[CONFIG_NAME + 8]; // "web.net0"
    struct net_port port;
    struct netdump dump;
};

struct networks {
    unsigned count;
    struct network_card card[CONFIG_NETS];
    struct gmem beside; // its VM's RAM, where a pair of VMs shows the sender's
};

// Once, before the first VM: makes the switches. STATUS_NO_MEMORY is explained.
MUST_CHECK status_t networks_init(const struct config_switches *switches, struct explanation *why);

// The ports of a domain, at their switches for good. Any result but STATUS_OK is explained.
MUST_CHECK status_t networks_make(struct networks **networks, const struct vm_config *config,
                                  struct explanation *why);

// What the board of its VM is built with.
void networks_describe(struct networks *networks, struct board_parts *parts);

// The VM's cards begin to receive, once its RAM is there; and nobody reaches it any more.
void networks_connect(struct networks *networks, struct vm *vm);
void networks_disconnect(struct networks *networks, struct vm *vm);

// The monitor's `info network`: the switches; and the cards of a domain.
void networks_print_switches(struct printer *to);
void networks_print(struct printer *to, const struct networks *networks);
