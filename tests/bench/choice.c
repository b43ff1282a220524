// The cost of choosing the next vCPU of 64 that can run: vm/sched.c itself, compiled into this
// guest and counted as in costs.c. Each choice of a fixed course of events is counted, without the
// host's own interrupts and without the counting: the dearest one is what the figure says.

#include "tests/bench/choice.h"

#include "tests/guests/lib/guest.h"
#include "vm/bus.h"
#include "vm/sched.h"

#define RUNNABLE 64
#define CHOICES  256
#define RUNS     5 // of the course; the cheapest counts

static struct sched sched;
static struct sched_entity entity[RUNNABLE];
static struct sched_entity *slots[3 * SCHED_VCPUS];
static uint64_t cost[CHOICES];

static void begin(void)
{
    sched_init(&sched, 1, slots);
    for (unsigned i = 0; i < RUNNABLE; i++) {
        entity[i] =
            (struct sched_entity){.weight = 64 + i * 37 % 512, .pinned = i % 4 ? SCHED_ANY_CPU : 0};
        (void)sched_add(&sched, &entity[i]);
    }
}

void choice_measure(void)
{
    uint64_t dearest = 0, least = UINT64_MAX;
    memset(cost, 0xff, sizeof(cost));
    for (unsigned run = 0; run < RUNS; run++) {
        // They come at even intervals: each run begins elsewhere in one.
        for (volatile unsigned wait = run * 1000; wait != 0; wait--)
            ;
        begin();
        for (unsigned i = 0; i < CHOICES; i++) {
            uint64_t now = i * SCHED_SLICE, until;
            uint64_t before = read_tsc();
            (void)sched_pick(&sched, 0, now, &until);
            cost[i] = MIN(cost[i], read_tsc() - before);
            before = read_tsc();
            least = MIN(least, read_tsc() - before);
            sched_stop(&sched, 0, until, SCHED_QUEUED, NEVER);
        }
    }
    for (unsigned i = 0; i < CHOICES; i++)
        dearest = MAX(dearest, cost[i]);
    say("cost sched_choose_64 %lu\n", (unsigned long)(dearest - least));
}
