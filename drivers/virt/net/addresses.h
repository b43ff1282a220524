// Which port an Ethernet address is behind. Looked at without a lock; changed under the switch's.
// Addresses are numbers, their first byte in bits 7:0.
#pragma once

#include <stdatomic.h>

#include "lib/status.h"

#define NET_ADDRESS_SETS 256
#define NET_ADDRESS_WAYS 8
#define NET_NOWHERE      0xffffU

// Time, in units of 2^30 ns: addresses that were learnt are forgotten after 300 s.
#define NET_ADDRESS_TIME(ns) ((uint32_t)((ns) >> 30))
#define NET_ADDRESS_AGE      279
#define NET_ADDRESS_KNOWN    UINT32_MAX // ... or never

struct net_address {
    _Atomic uint64_t entry; // the address, and its port in bits 63:48; 0: free
    _Atomic uint32_t seen;
};

struct net_addresses {
    struct net_address set[NET_ADDRESS_SETS][NET_ADDRESS_WAYS];
};

// The address's port, and when it was last seen; NET_NOWHERE if it is not here.
unsigned net_address_find(const struct net_addresses *all, uint64_t address, uint32_t *seen);

// The address is behind this port from now on, `seen` then. One that was learnt takes the place of
// the oldest of its set; one that is known for good takes that of any that was learnt. False: all
// of its set are known for good.
bool net_address_put(struct net_addresses *all, uint64_t address, unsigned port, uint32_t seen);
void net_address_remove(struct net_addresses *all, uint64_t address);
