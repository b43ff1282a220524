// Prints the log of a boot that ended in a panic: see last_words.h.

#include "boot/last_words.h"
#include "lib/string.h"

#define SHOWN_BYTES 1500U // a panic's screen, so that ours is not lost above it

// The bytes of a log in the order in which they were written.
static char byte_at(const struct log *log, size_t at)
{
    size_t older_length, newer_length;
    const char *older = log_piece(log, 0, &older_length);
    const char *newer = log_piece(log, 1, &newer_length);
    return at < older_length ? older[at] : newer[at - older_length];
}

static size_t log_length(const struct log *log)
{
    size_t older_length, newer_length;
    log_piece(log, 0, &older_length);
    log_piece(log, 1, &newer_length);
    return older_length + newer_length;
}

bool last_words_print(struct printer *to, struct log *kept)
{
    if (!log_is_sealed(kept))
        return false;
    size_t length = log_length(kept), at = length > SHOWN_BYTES ? length - SHOWN_BYTES : 0;
    while (at > 0 && at < length && byte_at(kept, at - 1) != '\n')
        at++; // from the beginning of a line
    print_to(to, "corbel: the last boot ended in a panic:\n");
    for (bool begins = true; at < length; at++) {
        char c = byte_at(kept, at);
        if (c == '\n' && begins)
            continue;
        print_to(to, "%s%c", begins ? "| " : "", c);
        begins = c == '\n';
    }
    log_init(kept);
    return true;
}
