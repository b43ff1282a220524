// News of a VM's life, as QEMU tells it. Called by control/domain.c at each step.

#include "control/state/life_news.h"

static enum news_cause cause_of(const struct life *from, enum stop_reason reason)
{
    switch (reason) {
    case STOP_POWEROFF:
    case STOP_DEBUG_EXIT:
        return NEWS_GUEST_SHUTDOWN;
    case STOP_RESET:
    case STOP_TRIPLE_FAULT:
        return from->state == LIFE_LEAVING ? NEWS_HOST_RESET : NEWS_GUEST_RESET;
    case STOP_KILLED:
        return NEWS_HOST_QUIT;
    case STOP_GUEST_PANIC:
        return NEWS_GUEST_PANIC;
    case STOP_NONE:
    case STOP_ENTRY_FAILED:
    case STOP_UNKNOWN_EXIT:
    case STOP_UNEMULATED:
    case STOP_BAD_MEMORY:
    case STOP_MACHINE_CHECK:
    case STOP_BUG:
    case STOP_REASONS:
        break;
    }
    return NEWS_HOST_ERROR;
}

// A VM that is preserved after a panic has not shut down: it stands still.
static unsigned tell_end(const struct life *from, const struct life *to, enum stop_reason reason,
                         struct news_item items[LIFE_NEWS])
{
    unsigned count = 0;
    enum news_cause cause = cause_of(from, reason);
    bool is_preserved = to->then == ACTION_PRESERVE;
    if (cause == NEWS_GUEST_PANIC)
        items[count++] =
            (struct news_item){.kind = NEWS_GUEST_PANICKED, .is_preserved = is_preserved};
    enum news_kind kind = to->then == ACTION_RESTART  ? NEWS_RESET
                          : count > 0 && is_preserved ? NEWS_STOP
                                                      : NEWS_SHUTDOWN;
    items[count++] = (struct news_item){.kind = kind, .cause = cause};
    return count;
}

unsigned life_news(const struct life *from, const struct life *to, enum life_event event,
                   enum stop_reason reason, struct news_item items[LIFE_NEWS])
{
    if (event == LIFE_LEFT)
        return tell_end(from, to, reason, items);
    if (from->state == LIFE_BUILDING && to->state == LIFE_CLEARING) {
        items[0] = (struct news_item){
            .kind = NEWS_SHUTDOWN, .cause = event == LIFE_KILL ? NEWS_HOST_QUIT : NEWS_HOST_ERROR};
        return 1;
    }
    bool runs = to->state == LIFE_RUNNING && from->state != LIFE_RUNNING;
    if (!runs && (to->state != LIFE_PAUSED || from->state == LIFE_PAUSED))
        return 0;
    items[0] = (struct news_item){.kind = runs ? NEWS_RESUME : NEWS_STOP};
    return 1;
}
