// The cost of choosing the next vCPU, of 64 that can run on one CPU, and of 1,024 in 16 domains:
// vm/sched/ itself, compiled into this guest and counted as in costs.c. Each choice of a fixed
// course of events is counted, without the host's own interrupts and without the counting: the
// dearest one is what the figure says.

#include "tests/bench/costs.h"

#include "tests/guests/lib/guest.h"
#include "vm/bus.h"
#include "vm/sched/sched.h"

#define DOMAINS  16
#define RUNNABLE 64 // in each
#define CHOICES  256
#define RUNS     16 // of the course; the cheapest counts

static struct sched sched;
static struct sched_entity entity[DOMAINS * RUNNABLE];
static struct sched_group group[DOMAINS * RUNNABLE];
static struct sched_entity *slots[3 * DOMAINS * SCHED_ENTITIES];
static uint64_t cost[CHOICES];

static void begin(unsigned domains)
{
    sched_init(&sched, domains, 1, slots);
    for (unsigned i = 0; i < domains * RUNNABLE; i++) {
        group[i] = (struct sched_group){.weight = 64 + i * 37 % 512};
        entity[i] = (struct sched_entity){
            .pinned = i % 4 ? SCHED_ANY_CPU : (uint16_t)(i / 4 % domains),
            .group = &group[i],
        };
        (void)sched_add(&sched, &entity[i]);
    }
}

static unsigned long dearest_of(unsigned domains)
{
    uint64_t dearest = 0, least = UINT64_MAX;
    memset(cost, 0xff, sizeof(cost));
    for (unsigned run = 0; run < RUNS; run++) {
        // They come at even intervals: each run begins elsewhere in one.
        for (volatile unsigned wait = run * 1000; wait != 0; wait--)
            ;
        begin(domains);
        for (unsigned i = 0; i < CHOICES; i++) {
            unsigned cpu = i % domains;
            uint64_t now = i / domains * SCHED_SLICE, until;
            uint64_t before = read_tsc();
            (void)sched_balance(&sched, cpu);
            (void)sched_pick(&sched, cpu, now, &until);
            cost[i] = MIN(cost[i], read_tsc() - before);
            before = read_tsc();
            least = MIN(least, read_tsc() - before);
            sched_stop(&sched, cpu, until, SCHED_QUEUED, NEVER);
        }
    }
    for (unsigned i = 0; i < CHOICES; i++)
        dearest = MAX(dearest, cost[i]);
    return (unsigned long)(dearest - least);
}

void choice_measure(void)
{
    say("cost sched_choose_64 %lu\n", dearest_of(1));
    say("cost sched_choose_1024 %lu\n", dearest_of(DOMAINS));
}
