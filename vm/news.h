// What happens to a VM, as those hear of it who want to: a few of the last events, kept over all
// its lives, and a list of readers. Events may come from any CPU.
#pragma once

#include "lib/bits.h"
#include "lib/spinlock.h"

#define NEWS_KEPT 16

enum news_kind {
    NEWS_STOP,   // it stands still
    NEWS_RESUME, // it runs (on)
    NEWS_SHUTDOWN,
    NEWS_RESET,
    NEWS_POWERDOWN, // its guest is asked to shut down
    NEWS_GUEST_PANICKED,
    NEWS_BALLOON_CHANGE,
    NEWS_KINDS,
};

// Why it shut down, or was reset.
enum news_cause {
    NEWS_HOST_ERROR, // it cannot go on
    NEWS_HOST_QUIT,  // by order
    NEWS_HOST_RESET,
    NEWS_GUEST_SHUTDOWN, // from here on the guest's own doing
    NEWS_GUEST_RESET,
    NEWS_GUEST_PANIC,
    NEWS_CAUSES,
};

struct news_item {
    enum news_kind kind;
    enum news_cause cause;
    bool is_preserved; // NEWS_GUEST_PANICKED: it is kept, to be looked at
    uint64_t value;    // NEWS_BALLOON_CHANGE: bytes that it has
    uint64_t time;     // nanoseconds since 1970
};

struct news_reader {
    // There is something to read. From any CPU, under a lock: it marks and rouses.
    void (*wake)(struct news_reader *reader);
    struct news_reader *next;
    uint64_t position; // events before the next one that it reads
};

struct news {
    struct spinlock lock; // guards all of it, and its readers' positions
    uint64_t count;       // ever
    struct news_item kept[NEWS_KEPT];
    struct news_reader *readers;
};

void news_add(struct news *news, const struct news_item *item);

// It reads what comes from now on; and nothing any more.
void news_attach(struct news *news, struct news_reader *reader);
void news_detach(struct news *news, struct news_reader *reader);

// At the moment: cheap, for who looks often.
static inline bool news_has_readers(const struct news *news)
{
    return __atomic_load_n(&news->readers, __ATOMIC_RELAXED);
}

// The reader's next event. False: there is none. `missed` becomes the number of those that went
// before it could read them.
bool news_read(struct news *news, struct news_reader *reader, struct news_item *item,
               uint64_t *missed);
