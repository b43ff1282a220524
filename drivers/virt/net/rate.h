// A limit on bytes or frames a second, by a token bucket that is kept as a time: when all that was
// taken will have been earned. What comes at once, up to the burst, passes; over any longer time
// the rate holds exactly.
#pragma once

#include "lib/bits.h"

struct net_rate {
    uint64_t cost;  // nanoseconds for one byte or frame, in units of 2^-24; 0: no limit
    uint64_t burst; // nanoseconds that may be taken ahead
    uint64_t paid;  // the time at which what was taken is earned
};

// `rate` (8 to 2^40) a second, `burst` (1 to 2^32) of them at once. A rate of 0: no limit.
void net_rate_set(struct net_rate *limit, uint64_t rate, uint64_t burst);

static inline bool net_rate_is_set(const struct net_rate *limit)
{
    return limit->cost;
}

// How many nanoseconds after `now` the next may pass; 0: it may. The time of a limit never goes
// back.
uint64_t net_rate_wait(const struct net_rate *limit, uint64_t now);

// So many (up to 2^20) pass.
void net_rate_take(struct net_rate *limit, uint64_t now, uint64_t count);
