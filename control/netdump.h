// A capture of what passes a port, kept in memory until it is read: records as pcap has them, in a
// ring of bounded size. What finds no room is counted.
#pragma once

#include "drivers/virt/net/switch.h"

struct netdump {
    struct net_capture capture; // the switch's side
    uint8_t *ring;              // NULL: nothing is captured, nor left to be read
    _Atomic uint64_t written;   // bytes since it began: by the switch
    _Atomic uint64_t read;      // ... by whoever prints
    _Atomic uint64_t frames;    // that were kept
    _Atomic uint64_t lost;
    bool is_on;
};

// Begins anew, or ends; what was captured can be read afterwards. STATUS_NO_MEMORY: no ring.
MUST_CHECK status_t netdump_switch(struct netdump *dump, struct net_port *port, bool on);

// Prints what was captured and was not printed yet, or a part of it, as lines of hexadecimal digits
// between two lines that name the port: a whole pcap file, and behind it how much is left. Then it
// is gone.
void netdump_print(struct printer *to, struct netdump *dump, const char *name);

// A line about it, if there is something.
void netdump_print_state(struct printer *to, const struct netdump *dump);
