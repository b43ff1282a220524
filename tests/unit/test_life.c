// The life of a VM: every event in every state, and the ways through it.

#include "control/state/life.h"
#include "tests/unit/support.h"

static const char *const state_names[LIFE_STATES] = {
    [LIFE_ABSENT] = "absent",       [LIFE_BUILDING] = "building", [LIFE_RUNNING] = "running",
    [LIFE_PAUSED] = "paused",       [LIFE_LEAVING] = "leaving",   [LIFE_FLUSHING] = "flushing",
    [LIFE_PRESERVED] = "preserved", [LIFE_CLEARING] = "clearing",
};

static const char *const event_names[LIFE_EVENTS] = {
    [LIFE_START] = "start",     [LIFE_BUILT] = "built",     [LIFE_REFUSED] = "refused",
    [LIFE_PAUSE] = "pause",     [LIFE_RESUME] = "resume",   [LIFE_HOLD] = "hold",
    [LIFE_RELEASE] = "release", [LIFE_RESET] = "reset",     [LIFE_KILL] = "kill",
    [LIFE_LEFT] = "left",       [LIFE_FLUSHED] = "flushed", [LIFE_CLEARED] = "cleared",
};

static const enum config_action ends[] = {ACTION_DESTROY, ACTION_RESTART, ACTION_PRESERVE};

// The states that events lead to; "-": refused. Where what follows matters: after destroy, restart,
// preserve.
static const char *const expected[LIFE_STATES][LIFE_EVENTS] = {
    // start, built, refused, pause, resume, hold, release, reset, kill, left, flushed, cleared
    {"building", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-"},
    {"-", "running", "clearing", "-", "-", "-", "-", "-", "clearing", "-", "-", "-"},
    {"-", "-", "-", "paused", "-", "running", "running", "leaving", "leaving", "flushing", "-",
     "-"},
    {"-", "-", "-", "-", "running", "paused", "paused", "leaving", "leaving", "flushing", "-", "-"},
    {"-", "-", "-", "-", "-", "leaving", "leaving", "leaving", "leaving", "flushing", "-", "-"},
    {"-", "-", "-", "-", "-", "flushing", "flushing", "flushing", "flushing", "-",
     "clearing clearing preserved", "-"},
    {"-", "-", "-", "-", "-", "preserved", "preserved", "clearing", "clearing", "-", "-", "-"},
    {"clearing", "-", "-", "-", "-", "-", "-", "-", "- clearing clearing", "-", "-",
     "absent building absent"},
};

static const char *nth_word(const char *text, unsigned n, char *word)
{
    const char *space;
    while (n-- && (space = strchr(text, ' ')))
        text = space + 1;
    size_t length = strcspn(text, " ");
    memcpy(word, text, length);
    word[length] = 0;
    return word;
}

static void every_event_in_every_state(void **state)
{
    char wanted[32];
    for (unsigned from = 0; from < LIFE_STATES; from++)
        for (unsigned event = 0; event < LIFE_EVENTS; event++)
            for (unsigned i = 0; i < ARRAY_LENGTH(ends); i++) {
                struct life life = {(enum life_state)from, ends[i]};
                uint32_t effects = ~0U;
                status_t status =
                    life_step(&life, (enum life_event)event, ACTION_DESTROY, &effects);
                nth_word(expected[from][event], i, wanted);
                print_message("%s, %s, then %u\n", state_names[from], event_names[event], ends[i]);
                if (strcmp(wanted, "-") == 0) {
                    assert_int_equal(status, STATUS_INVALID);
                    assert_true(life.state == from && life.then == ends[i] && effects == 0);
                    continue;
                }
                assert_int_equal(status, STATUS_OK);
                assert_string_equal(state_names[life.state], wanted);
                // Clearing begins once, and no vCPU is in a loop then.
                assert_int_equal((effects & LIFE_CLEAR) != 0,
                                 life.state == LIFE_CLEARING && from != LIFE_CLEARING);
                // What needs a VM is asked for where there is one.
                if (effects & (LIFE_PARK | LIFE_STOP | LIFE_UNPARK))
                    assert_true(from >= LIFE_RUNNING && from <= LIFE_FLUSHING);
                // Who is to leave is not left parked.
                if (from == LIFE_PAUSED && life.state == LIFE_LEAVING)
                    assert_int_equal(effects, LIFE_STOP | LIFE_UNPARK);
            }
}

// Takes the events one after the other; the last effects.
static uint32_t walk(struct life *life, const enum life_event *events, unsigned count,
                     enum config_action configured)
{
    uint32_t effects = 0;
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(life_step(life, events[i], configured, &effects), STATUS_OK);
    return effects;
}

#define WALK(life, configured, ...)                                                                \
    walk(life, (const enum life_event[]){__VA_ARGS__},                                             \
         sizeof((const enum life_event[]){__VA_ARGS__}) / sizeof(enum life_event), configured)

static void what_follows_is_as_configured(void **state)
{
    static const enum life_state last[] = {LIFE_ABSENT, LIFE_BUILDING};
    for (unsigned i = 0; i < ARRAY_LENGTH(last); i++) {
        struct life life = {0};
        WALK(&life, ends[i], LIFE_START, LIFE_BUILT, LIFE_LEFT, LIFE_FLUSHED, LIFE_CLEARED);
        assert_int_equal(life.state, last[i]);
    }
    struct life life = {0};
    WALK(&life, ACTION_PRESERVE, LIFE_START, LIFE_BUILT, LIFE_PAUSE, LIFE_LEFT, LIFE_FLUSHED);
    assert_int_equal(life.state, LIFE_PRESERVED);
    assert_true(life_has_vm(&life));
}

static void the_operators_last_order_wins(void **state)
{
    struct life life = {0};
    WALK(&life, ACTION_PRESERVE, LIFE_START, LIFE_BUILT, LIFE_RESET, LIFE_LEFT, LIFE_FLUSHED);
    assert_int_equal(life.then, ACTION_RESTART);
    assert_true(life_is_starting(&life));
    assert_int_equal(WALK(&life, ACTION_RESTART, LIFE_KILL), LIFE_REPORT);
    assert_false(life_is_starting(&life));
    WALK(&life, ACTION_RESTART, LIFE_START, LIFE_CLEARED);
    assert_int_equal(life.state, LIFE_BUILDING);
    WALK(&life, ACTION_RESTART, LIFE_BUILT, LIFE_LEFT, LIFE_KILL, LIFE_FLUSHED, LIFE_CLEARED);
    assert_int_equal(life.state, LIFE_ABSENT);
    WALK(&life, ACTION_RESTART, LIFE_START, LIFE_REFUSED, LIFE_CLEARED);
    assert_int_equal(life.state, LIFE_ABSENT);
    WALK(&life, ACTION_RESTART, LIFE_START, LIFE_BUILT, LIFE_KILL, LIFE_LEFT);
    assert_int_equal(life.then, ACTION_DESTROY);
}

static void a_reason_has_its_line_in_the_description(void **state)
{
    const struct vm_config config = {
        .on_poweroff = ACTION_PRESERVE, .on_reboot = ACTION_RESTART, .on_crash = ACTION_PRESERVE};
    assert_int_equal(life_configured(&config, STOP_POWEROFF), ACTION_PRESERVE);
    assert_int_equal(life_configured(&config, STOP_RESET), ACTION_RESTART);
    assert_int_equal(life_configured(&config, STOP_TRIPLE_FAULT), ACTION_RESTART);
    assert_int_equal(life_configured(&config, STOP_KILLED), ACTION_DESTROY);
    assert_int_equal(life_configured(&config, STOP_DEBUG_EXIT), ACTION_DESTROY);
    assert_int_equal(life_configured(&config, STOP_ENTRY_FAILED), ACTION_PRESERVE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_event_in_every_state),
        cmocka_unit_test(what_follows_is_as_configured),
        cmocka_unit_test(the_operators_last_order_wins),
        cmocka_unit_test(a_reason_has_its_line_in_the_description),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
