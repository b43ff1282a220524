// The scheduling policy under guests that do what they can to have more than their share: they
// yield, sleep, wake each other and set deadlines, while a victim computes. The victim gets its
// share of the machine and waits no longer than for the others' turns, no cap is passed, and no CPU
// idles beside what it may run. A switch takes time, which only who causes it may miss.

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/bits.h"
#include "vm/bus.h"
#include "vm/sched/sched.h"

#define US     UINT64_C(1000)
#define SWITCH (3 * US) // from one vCPU to the next
#define KICK   (2 * US) // until a CPU that is told looks around

enum { CPUS = 4, VMS = 4, MEMBERS = 8, EVENTS = 5000 };

enum action { GO_ON, YIELD, YIELD_TO, BLOCK, SLEEP, ACTIONS };

struct cpu {
    uint64_t until; // looks around then
    uint64_t acts;  // what runs there does its next thing then
    bool is_kicked;
};

static struct sched sched;
static struct sched_entity *slots[SCHED_ENTITIES * 3 * CPUS];
static struct sched_group group[VMS]; // the first is the victim, of one vCPU
static struct sched_entity entity[VMS][MEMBERS], *member[VMS][MEMBERS];
static struct cpu cpu[CPUS];
static unsigned cpus, vms;
static uint64_t now, queued_at, longest;

static const uint8_t *script;
static size_t length, at;

#define check(promise, ...)                                                                        \
    do                                                                                             \
        if (!(promise)) {                                                                          \
            fprintf(stderr, "promise broken: " __VA_ARGS__);                                       \
            abort();                                                                               \
        }                                                                                          \
    while (0)

// The attackers' script begins again and again.
static uint8_t draw(void)
{
    return length ? script[at++ % length] : 0;
}

static void build(const uint8_t *data)
{
    static const uint32_t weights[] = {256, 512, 100, 1024};
    cpus = 1 + data[0] % CPUS;
    vms = 2 + data[1] % (VMS - 1);
    bool is_pinned = data[2] & 1;
    sched_init(&sched, cpus, 1U << (data[2] >> 1) % 3, slots);
    memset(entity, 0, sizeof(entity));
    memset(cpu, 0, sizeof(cpu));
    now = queued_at = longest = 0;
    for (unsigned v = 0; v < vms; v++) {
        const uint8_t *own = data + 4 + 3 * v;
        group[v] = (struct sched_group){
            .member = member[v],
            .count = v ? 1 + own[0] % MEMBERS : 1,
            .weight = weights[own[1] % ARRAY_LENGTH(weights)],
            .cap = v && own[2] & 1 ? own[2] : 0,
        };
        for (unsigned i = 0; i < group[v].count; i++) {
            member[v][i] = &entity[v][i];
            entity[v][i].group = &group[v];
            // The victim has a CPU, or all are anywhere: what competes where is known then.
            entity[v][i].pinned = !is_pinned          ? SCHED_ANY_CPU
                                  : !v                ? 0
                                  : (own[2] >> 1) & 1 ? SCHED_ANY_CPU
                                                      : (uint16_t)((data[3] >> (i % 8)) % cpus);
        }
    }
    for (unsigned v = 0; v < vms; v++)
        for (unsigned i = 0; i < group[v].count; i++)
            (void)sched_add(&sched, member[v][i]);
}

// ---- the machine ----

static void kick_cpu(int number)
{
    if (number < 0)
        return;
    const struct sched_entity *current = sched.cpu[number].current;
    uint64_t soon = now + KICK;
    if (current)
        soon = MAX(soon, current->since + SCHED_LEAST);
    cpu[number].until = MIN(cpu[number].until, soon);
    cpu[number].is_kicked = true;
}

static void choose(unsigned number)
{
    struct cpu *here = &cpu[number];
    bool follows = sched.cpu[number].left == now;
    struct sched_entity *chosen;
    do
        (void)sched_balance(&sched, number);
    while (!(chosen = sched_pick(&sched, number, now, &here->until)) &&
           sched_balance(&sched, number));
    here->is_kicked = false;
    here->acts = NEVER;
    kick_cpu(sched_help(&sched, number));
    if (!chosen)
        return;
    sched_begin(&sched, number, now + (follows ? SWITCH : 0));
    if (chosen == &entity[0][0])
        longest = MAX(longest, now - queued_at);
    else
        here->acts = chosen->since + US * (1 + (uint64_t)draw() * draw() / 16);
}

static void stop(unsigned number, enum sched_state to, uint64_t deadline)
{
    if (sched.cpu[number].current == &entity[0][0])
        queued_at = now;
    sched_stop(&sched, number, now, to, deadline);
    choose(number);
}

// What the attacker on this CPU does next.
static void act(unsigned number)
{
    struct sched_entity *current = sched.cpu[number].current;
    struct sched_group *vm = current->group;
    uint8_t what = draw();
    struct sched_entity *target = vm->member[draw() % vm->count];
    if (what & 0x80)
        kick_cpu(sched_wake(&sched, target, now));
    switch ((enum action)(what % ACTIONS)) {
    case YIELD:
        sched_yield_to(&sched, number, NULL);
        stop(number, SCHED_QUEUED, 0);
        return;
    case YIELD_TO:
        sched_yield_to(&sched, number, target);
        stop(number, SCHED_QUEUED, 0);
        return;
    case BLOCK:
        stop(number, SCHED_BLOCKED, NEVER);
        return;
    case SLEEP:
        stop(number, SCHED_BLOCKED, now + US * (1 + (uint64_t)draw() * draw()));
        return;
    case GO_ON:
    case ACTIONS:
        break;
    }
    cpu[number].acts = now + US * (1 + draw());
}

static void check_idle(void)
{
    for (unsigned i = 0; i < cpus; i++)
        if (cpu[i].is_kicked)
            return;
    bool waits = false;
    for (unsigned i = 0; i < sched.domain_count; i++)
        waits = waits || sched.domain[i].queue.count;
    for (unsigned i = 0; i < cpus; i++)
        check(sched.cpu[i].current || (!waits && !sched.cpu[i].pinned.count),
              "CPU %u idles beside what it may run, at %" PRIu64 " ns\n", i, now);
}

static void run(void)
{
    for (unsigned i = 0; i < cpus; i++)
        choose(i);
    for (unsigned event = 0; event < EVENTS; event++) {
        unsigned next = 0;
        for (unsigned i = 1; i < cpus; i++)
            if (MIN(cpu[i].until, cpu[i].acts) < MIN(cpu[next].until, cpu[next].acts))
                next = i;
        now = MAX(now, MIN(cpu[next].until, cpu[next].acts));
        if (cpu[next].acts < cpu[next].until)
            act(next);
        else if (sched.cpu[next].current)
            stop(next, SCHED_QUEUED, 0);
        else
            choose(next);
        check_idle();
    }
}

// ---- promises ----

static uint64_t received(unsigned v)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < group[v].count; i++)
        sum += entity[v][i].received;
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { HEADER = 4 + 3 * VMS };
    if (size < HEADER)
        return 0;
    script = data + HEADER;
    length = size - HEADER;
    at = 0;
    build(data);
    run();

    const struct sched_entity *victim = &entity[0][0];
    uint64_t others = 0, turns = 0; // their weight, in all
    uint64_t lag = 2 * SCHED_SLICE + (sched.domain_count > 1 ? SCHED_APART : 0);
    for (unsigned v = 1; v < vms; v++) {
        others += group[v].weight;
        // What each of it began, what it was behind the victim and what that one had last.
        turns += group[v].count * SCHED_SLICE + lag * group[v].weight / SCHED_WEIGHT_DEFAULT +
                 SCHED_SLICE * group[v].weight / group[0].weight;
        if (group[v].cap)
            check(received(v) <= now / 100 * group[v].cap + SCHED_CAP_PERIOD / 100 * group[v].cap +
                                     group[v].count * SCHED_SLICE,
                  "VM %u with a cap of %u %% had %" PRIu64 " ns of %" PRIu64 "\n", v, group[v].cap,
                  received(v), now);
    }
    if (victim->state == SCHED_QUEUED)
        longest = MAX(longest, now - queued_at);
    check(longest <= turns, "the victim waited %" PRIu64 " ns, the others' turns are %" PRIu64 "\n",
          longest, turns);
    // While it waits, all CPUs that it may have are the others', who had no more then than what it
    // has had itself, by weight, and their turns. So it has its share but for what nobody else
    // wanted of the CPUs that it cannot use: it is one vCPU.
    uint64_t parts = victim->pinned == SCHED_ANY_CPU ? cpus : 1;
    uint64_t had = victim->received;
    if (victim->state == SCHED_RUNNING && now > victim->since)
        had += now - victim->since;
    uint64_t switches = now / 100 * 4;
    check((now - had) * parts <= had * others / group[0].weight + turns + switches * parts,
          "the victim had %" PRIu64 " ns of %" PRIu64 ", the others' turns are %" PRIu64 "\n", had,
          now, turns);
    return 0;
}
