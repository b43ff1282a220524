// Prints the log of a boot that ended in a panic: see crash_log.h.

#include "boot/info/crash_log.h"

#define SHOWN_LINES 40U // a panic's screen, so that ours is not lost above it

bool crash_log_print(struct printer *to, struct log *kept)
{
    char text[LOG_TEXT];
    if (!log_is_sealed(kept))
        return false;
    uint64_t at = kept->written > SHOWN_LINES ? kept->written - SHOWN_LINES : 0;
    print_to(to, "corbel: the last boot ended in a panic:\n");
    while (log_read(kept, &at, LOG_DEBUG, text))
        if (text[0] != '\n')
            print_to(to, "| %s", text);
    log_init(kept);
    return true;
}
