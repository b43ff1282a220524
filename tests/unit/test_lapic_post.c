// Interrupts posted by several threads at once to one vCPU, whose owner takes them meanwhile.
#include "tests/unit/support.h"

#include <pthread.h>

#include "vm/vm.h"

#define POSTERS 3
#define ROUNDS  3000

static struct vm vm;
static struct vcpu vcpu;
static _Alignas(4096) struct lapic_page page;
static _Atomic unsigned taken[256];
static _Atomic unsigned broadcasts[256];

static void no_kick(struct vcpu *kicked) {}

static void count_eoi(void *ioapic, uint8_t vector)
{
    atomic_fetch_add(&broadcasts[vector], 1);
}

// Two vectors of the same word for each poster, one by level, one by edge; each is posted again as
// soon as the last one was taken.
static void *post(void *argument)
{
    unsigned edge = 0x40 + 2 * (unsigned)(uintptr_t)argument, level = edge + 1;
    for (unsigned round = 1; round <= ROUNDS; round++) {
        lapic_post(&vcpu, (uint8_t)edge, false);
        lapic_post(&vcpu, (uint8_t)level, true);
        while (atomic_load(&taken[edge]) < round || atomic_load(&broadcasts[level]) < round)
            sched_yield();
    }
    return NULL;
}

// A lost interrupt hangs its poster; a lost level bit its broadcast; a stray one makes one too
// many.
static void none_is_lost_and_none_changes_its_kind(void **state)
{
    static const struct vm_host host = {.kick = no_kick};
    vm.host = &host;
    vm.vcpu_count = 1;
    vm.vcpu[0] = &vcpu;
    vm.irqchip.ioapic_eoi = count_eoi;
    vcpu.vm = &vm;
    lapic_init(&vcpu, &page);

    pthread_t threads[POSTERS];
    for (uintptr_t i = 0; i < POSTERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, post, (void *)i), 0);
    for (unsigned left = POSTERS * ROUNDS * 2; left > 0;) {
        if (!(atomic_exchange(&vcpu.requests, 0) & REQUEST_EVENT)) {
            sched_yield();
            continue;
        }
        for (int vector; (vector = lapic_take(&vcpu)) >= 0; left--) {
            atomic_fetch_add(&taken[vector], 1);
            lapic_eoi(&vcpu);
        }
    }
    for (unsigned i = 0; i < POSTERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(lapic_pending(&vcpu), -1);
    for (unsigned i = 0; i < POSTERS; i++) {
        assert_int_equal(taken[0x40 + 2 * i], ROUNDS);
        assert_int_equal(broadcasts[0x40 + 2 * i], 0);
        assert_int_equal(broadcasts[0x41 + 2 * i], ROUNDS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_is_lost_and_none_changes_its_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
