// mm/tables/frame_chain.h: frames that wait.

#include "tests/unit/support.h"

#include "mm/tables/frame_chain.h"

static _Alignas(PAGE_SIZE) uint8_t bytes[3][PAGE_SIZE];

static int clear(void **state)
{
    memset(bytes, 0, sizeof(bytes));
    return 0;
}

static void frames_are_kept_in_chains(void **state)
{
    struct frame_chain chain = {0};
    uint8_t *frame[3];
    assert_null(frame_chain_pop(&chain));
    for (unsigned i = 0; i < ARRAY_LENGTH(frame); i++) {
        frame[i] = bytes[i];
        frame_chain_push(&chain, frame[i]);
        assert_int_equal(chain.count, i + 1);
    }
    for (unsigned i = ARRAY_LENGTH(frame); i-- > 0;) {
        assert_ptr_equal(frame_chain_pop(&chain), frame[i]);
        for (unsigned k = 0; k < PAGE_SIZE; k++)
            assert_int_equal(frame[i][k], 0);
    }
    assert_null(frame_chain_pop(&chain));
    assert_int_equal(chain.count, 0);
}

// Each CPU flushes within a round, but the one that is under way may be over for some.
static void what_left_a_view_is_anothers_two_rounds_later(void **state)
{
    struct frames_leaving frames = {0};
    void *first = bytes[0], *second = bytes[1], *third = bytes[2];
    assert_null(frames_leaving_take(&frames, 7));
    frame_chain_push(&frames.leaving, first);
    assert_null(frames_leaving_take(&frames, 7));
    frame_chain_push(&frames.leaving, second);
    assert_null(frames_leaving_take(&frames, 8));
    assert_ptr_equal(frames_leaving_take(&frames, 9), first);
    assert_null(frames_leaving_take(&frames, 9)); // the second begins to wait
    frame_chain_push(&frames.leaving, third);
    assert_null(frames_leaving_take(&frames, 10));
    assert_ptr_equal(frames_leaving_again(&frames), third); // for its own view it is good
    assert_ptr_equal(frames_leaving_take(&frames, 11), second);
    frame_chain_push(&frames.leaving, first);
    assert_null(frames_leaving_take(&frames, 11));
    assert_ptr_equal(frames_leaving_again(&frames), first);
    assert_null(frames_leaving_again(&frames));
    assert_null(frames_leaving_take(&frames, 20));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(frames_are_kept_in_chains, clear),
        cmocka_unit_test_setup(what_left_a_view_is_anothers_two_rounds_later, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
