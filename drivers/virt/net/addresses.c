// The table of addresses: sets of ways. Called by the switch for each frame.
#include "drivers/virt/net/addresses.h"

#define ADDRESS BITS(47, 0)

static struct net_address *set_of(const struct net_addresses *all, uint64_t address)
{
    uint64_t hash = address * UINT64_C(0x9e3779b97f4a7c15) >> 56;
    return (struct net_address *)all->set[hash];
}

static uint64_t entry_of(const struct net_address *at)
{
    return atomic_load_explicit(&at->entry, memory_order_relaxed);
}

static struct net_address *find(const struct net_addresses *all, uint64_t address)
{
    struct net_address *set = set_of(all, address);
    for (unsigned way = 0; way < NET_ADDRESS_WAYS; way++)
        if ((entry_of(&set[way]) & ADDRESS) == address)
            return &set[way];
    return NULL;
}

unsigned net_address_find(const struct net_addresses *all, uint64_t address, uint32_t *seen)
{
    const struct net_address *at = find(all, address);
    uint64_t entry = at ? entry_of(at) : 0;
    if ((entry & ADDRESS) != address || !entry) // it may have changed meanwhile
        return NET_NOWHERE;
    *seen = atomic_load_explicit(&at->seen, memory_order_relaxed);
    return (unsigned)(entry >> 48);
}

bool net_address_put(struct net_addresses *all, uint64_t address, unsigned port, uint32_t seen)
{
    struct net_address *set = set_of(all, address), *at = find(all, address), *oldest = NULL;
    for (unsigned way = 0; way < NET_ADDRESS_WAYS && !at; way++) {
        if (!entry_of(&set[way]))
            at = &set[way];
        else if (set[way].seen != NET_ADDRESS_KNOWN && (!oldest || set[way].seen < oldest->seen))
            oldest = &set[way];
    }
    at = at ? at : oldest;
    if (!at)
        return false;
    at->seen = seen;
    at->entry = address | (uint64_t)port << 48;
    return true;
}

void net_address_remove(struct net_addresses *all, uint64_t address)
{
    struct net_address *at = find(all, address);
    if (at)
        at->entry = 0;
}
