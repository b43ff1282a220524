// Streams between two ends: on one CPU, and on two.

#include <pthread.h>

#include "lib/stream.h"
#include "tests/unit/support.h"

#define SIZE  64
#define BYTES 200000

static struct stream stream;
static uint8_t bytes[2 * SIZE];
static unsigned woken[2], released;
static struct stream_end *const a = &stream.end[0], *const b = &stream.end[1];

static void wake(struct stream_end *end)
{
    ++*(unsigned *)end->owner;
}

static void release(struct stream *which)
{
    assert_ptr_equal(which, &stream);
    released++;
}

static int set_up(void **state)
{
    woken[0] = woken[1] = released = 0;
    stream_init(&stream, bytes, SIZE, release);
    stream_own(a, wake, &woken[0]);
    stream_own(b, wake, &woken[1]);
    return 0;
}

static void bytes_come_in_order_as_far_as_there_is_room(void **state)
{
    uint8_t out[100], in[100];
    for (unsigned i = 0; i < sizeof(out); i++)
        out[i] = (uint8_t)i;
    assert_int_equal(stream_give(a, out, 100), SIZE);
    assert_int_equal(stream_give(a, out, 1), 0);
    assert_int_equal(stream_take(b, in, 10), 10);
    assert_int_equal(stream_give(a, out + SIZE, 36), 10); // and around the ring's end
    assert_int_equal(stream_take(b, in + 10, 90), 64);
    assert_memory_equal(in, out, 74);
    assert_int_equal(stream_take(b, in, 1), 0);
    assert_int_equal(stream_take(a, in, 1), 0); // nothing comes back
}

static void an_end_is_woken_by_what_the_other_does(void **state)
{
    uint8_t byte = 7;
    assert_int_equal(stream_give(a, &byte, 1), 1);
    assert_int_equal(woken[1], 1);
    assert_int_equal(stream_take(b, &byte, 1), 1);
    assert_int_equal(woken[0], 1);
    assert_int_equal(stream_take(b, &byte, 1), 0);
    assert_int_equal(woken[0], 1);
    stream_finish(a);
    stream_finish(a);
    assert_int_equal(woken[1], 2);
    stream_deafen(b);
    assert_int_equal(woken[0], 2);
}

static void the_end_comes_behind_the_last_byte(void **state)
{
    uint8_t byte = 7;
    assert_int_equal(stream_give(a, &byte, 1), 1);
    stream_finish(a);
    assert_int_equal(stream_give(a, &byte, 1), 0);
    assert_false(stream_is_at_end(b));
    assert_int_equal(stream_take(b, &byte, 1), 1);
    assert_true(stream_is_at_end(b));
    assert_int_equal(stream_give(b, &byte, 1), 1); // the other direction goes on
    assert_int_equal(stream_take(a, &byte, 1), 1);
}

static void nobody_hears_what_is_given_to_the_deaf(void **state)
{
    uint8_t byte = 7;
    stream_deafen(b);
    assert_true(stream_is_unheard(a));
    assert_int_equal(stream_give(a, &byte, 1), 0);
}

static void the_deaf_are_at_the_end_once_the_other_has_finished(void **state)
{
    uint8_t byte = 7;
    assert_int_equal(stream_give(a, &byte, 1), 1);
    stream_deafen(b);
    assert_false(stream_is_at_end(b));
    stream_finish(a);
    assert_true(stream_is_at_end(b));
    assert_int_equal(stream_take(b, &byte, 1), 0);
}

static void what_was_given_outlives_its_giver(void **state)
{
    uint8_t byte = 7;
    assert_int_equal(stream_give(a, &byte, 1), 1);
    stream_close(a);
    assert_int_equal(woken[1], 2);
    assert_int_equal(stream_take(b, &byte, 1), 1);
    assert_int_equal(woken[0], 0); // it is closed
    assert_true(stream_is_at_end(b));
    assert_int_equal(released, 0);
    stream_close(b);
    assert_int_equal(released, 1);
}

static void *give_all(void *end)
{
    uint8_t piece[37];
    for (unsigned at = 0; at < BYTES;) {
        unsigned length = MIN(sizeof(piece), BYTES - at);
        for (unsigned i = 0; i < length; i++)
            piece[i] = (uint8_t)((at + i) * 7);
        at += (unsigned)stream_give(end, piece, length);
    }
    stream_close(end);
    return NULL;
}

static void two_cpus_lose_nothing(void **state)
{
    pthread_t other;
    uint8_t piece[29];
    unsigned at = 0;
    assert_int_equal(pthread_create(&other, NULL, give_all, a), 0);
    while (!stream_is_at_end(b)) {
        unsigned taken = (unsigned)stream_take(b, piece, sizeof(piece));
        for (unsigned i = 0; i < taken; i++, at++)
            assert_int_equal(piece[i], (uint8_t)(at * 7));
    }
    assert_int_equal(at, BYTES);
    assert_int_equal(pthread_join(other, NULL), 0);
    stream_close(b);
    assert_int_equal(released, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(bytes_come_in_order_as_far_as_there_is_room, set_up),
        cmocka_unit_test_setup(an_end_is_woken_by_what_the_other_does, set_up),
        cmocka_unit_test_setup(the_end_comes_behind_the_last_byte, set_up),
        cmocka_unit_test_setup(nobody_hears_what_is_given_to_the_deaf, set_up),
        cmocka_unit_test_setup(the_deaf_are_at_the_end_once_the_other_has_finished, set_up),
        cmocka_unit_test_setup(what_was_given_outlives_its_giver, set_up),
        cmocka_unit_test_setup(two_cpus_lose_nothing, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
