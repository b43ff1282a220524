// Limits by tokens. Called by the switch, under the lock of the port whose limit it is.
#include "drivers/virt/net/rate.h"

#define SCALE  24
#define SECOND UINT64_C(1000000000)

void net_rate_set(struct net_rate *limit, uint64_t rate, uint64_t burst)
{
    *limit = (struct net_rate){0};
    if (!rate)
        return;
    limit->cost = MAX((SECOND << SCALE) / rate, 1);
    limit->burst = (SECOND * burst) / rate;
}

uint64_t net_rate_wait(const struct net_rate *limit, uint64_t now)
{
    uint64_t earliest = limit->paid > limit->burst ? limit->paid - limit->burst : 0;
    return limit->cost && earliest > now ? earliest - now : 0;
}

void net_rate_take(struct net_rate *limit, uint64_t now, uint64_t count)
{
    limit->paid = MAX(limit->paid, now) + (limit->cost * count >> SCALE);
}
