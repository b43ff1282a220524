// The table of a VM's life.

#include "control/state/life.h"

#define NOTHING 0

// What LIFE_FLUSHED and LIFE_CLEARED become where ACTION_PRESERVE and ACTION_RESTART follow.
enum { LIFE_PRESERVE = LIFE_EVENTS, LIFE_RESTART, COLUMNS };

#define STEP(from, event, to, effects) [LIFE_##from][LIFE_##event] = {true, LIFE_##to, effects}
static const struct {
    bool is_legal;
    uint8_t to;
    uint8_t effects;
} table[LIFE_STATES][COLUMNS] = {
    STEP(ABSENT, START, BUILDING, NOTHING),
    STEP(BUILDING, BUILT, RUNNING, NOTHING),
    STEP(BUILDING, REFUSED, CLEARING, LIFE_CLEAR),
    STEP(BUILDING, KILL, CLEARING, LIFE_REPORT | LIFE_CLEAR),
    STEP(RUNNING, PAUSE, PAUSED, LIFE_PARK),
    STEP(RUNNING, HOLD, RUNNING, LIFE_PARK),
    STEP(RUNNING, RELEASE, RUNNING, LIFE_UNPARK),
    STEP(RUNNING, RESET, LEAVING, LIFE_STOP),
    STEP(RUNNING, KILL, LEAVING, LIFE_STOP),
    STEP(RUNNING, LEFT, FLUSHING, NOTHING),
    STEP(PAUSED, RESUME, RUNNING, LIFE_UNPARK),
    STEP(PAUSED, HOLD, PAUSED, NOTHING),
    STEP(PAUSED, RELEASE, PAUSED, NOTHING),
    STEP(PAUSED, RESET, LEAVING, LIFE_STOP | LIFE_UNPARK), // it has to run to leave
    STEP(PAUSED, KILL, LEAVING, LIFE_STOP | LIFE_UNPARK),
    STEP(PAUSED, LEFT, FLUSHING, NOTHING), // it was on its way out
    STEP(LEAVING, HOLD, LEAVING, LIFE_PARK),
    STEP(LEAVING, RELEASE, LEAVING, LIFE_UNPARK),
    STEP(LEAVING, RESET, LEAVING, NOTHING),
    STEP(LEAVING, KILL, LEAVING, NOTHING),
    STEP(LEAVING, LEFT, FLUSHING, NOTHING),
    STEP(FLUSHING, HOLD, FLUSHING, NOTHING),
    STEP(FLUSHING, RELEASE, FLUSHING, LIFE_UNPARK), // it may have been held before
    STEP(FLUSHING, RESET, FLUSHING, NOTHING),
    STEP(FLUSHING, KILL, FLUSHING, NOTHING),
    STEP(FLUSHING, FLUSHED, CLEARING, LIFE_CLEAR),
    STEP(FLUSHING, PRESERVE, PRESERVED, NOTHING),
    STEP(PRESERVED, HOLD, PRESERVED, NOTHING),
    STEP(PRESERVED, RELEASE, PRESERVED, NOTHING),
    STEP(PRESERVED, RESET, CLEARING, LIFE_CLEAR),
    STEP(PRESERVED, KILL, CLEARING, LIFE_CLEAR),
    STEP(CLEARING, START, CLEARING, NOTHING),
    STEP(CLEARING, KILL, CLEARING, LIFE_REPORT),
    STEP(CLEARING, CLEARED, ABSENT, NOTHING),
    STEP(CLEARING, RESTART, BUILDING, NOTHING),
};

static unsigned column_of(const struct life *life, enum life_event event)
{
    if (event == LIFE_FLUSHED && life->then == ACTION_PRESERVE)
        return LIFE_PRESERVE;
    if (event == LIFE_CLEARED && life->then == ACTION_RESTART)
        return LIFE_RESTART;
    return event;
}

static enum config_action follows(const struct life *life, enum life_event event,
                                  enum config_action configured)
{
    if (event == LIFE_KILL || event == LIFE_REFUSED)
        return ACTION_DESTROY;
    if (event == LIFE_RESET || event == LIFE_START)
        return ACTION_RESTART;
    return event == LIFE_LEFT && life->state != LIFE_LEAVING ? configured : life->then;
}

status_t life_step(struct life *life, enum life_event event, enum config_action configured,
                   uint32_t *effects)
{
    unsigned column = column_of(life, event);
    *effects = NOTHING;
    if (!table[life->state][column].is_legal ||
        (life->state == LIFE_CLEARING && event == LIFE_KILL && life->then == ACTION_DESTROY))
        return STATUS_INVALID;
    *effects = table[life->state][column].effects;
    life->then = follows(life, event, configured);
    life->state = table[life->state][column].to;
    return STATUS_OK;
}

bool life_has_vm(const struct life *life)
{
    return life->state >= LIFE_RUNNING && life->state <= LIFE_PRESERVED;
}

bool life_is_starting(const struct life *life)
{
    return life->state == LIFE_BUILDING ||
           (life->state == LIFE_CLEARING && life->then == ACTION_RESTART);
}

enum config_action life_configured(const struct vm_config *config, enum stop_reason reason)
{
    switch (reason) {
    case STOP_POWEROFF:
        return config->on_poweroff;
    case STOP_RESET:
    case STOP_TRIPLE_FAULT: // shutdown: a board resets the CPU
        return config->on_reboot;
    case STOP_KILLED:
    case STOP_DEBUG_EXIT:
        return ACTION_DESTROY;
    case STOP_NONE:
    case STOP_GUEST_PANIC:
    case STOP_ENTRY_FAILED:
    case STOP_UNKNOWN_EXIT:
    case STOP_UNEMULATED:
    case STOP_BAD_MEMORY:
    case STOP_MACHINE_CHECK:
    case STOP_BUG:
    case STOP_REASONS:
        break;
    }
    return config->on_crash;
}
