// Prints the log of a boot that ended in a panic: see last_words.h.

#include "boot/last_words.h"
#include "lib/print.h"

#define SHOWN_BYTES 1500U // a panic's screen, so that ours is not lost above it

bool last_words_print(struct printer *to, struct log *kept)
{
    if (!log_is_sealed(kept))
        return false;
    uint64_t at = kept->written > SHOWN_BYTES ? kept->written - SHOWN_BYTES - 1 : 0;
    bool is_whole = at == 0, begins = true; // the first line may have lost its beginning
    print_to(to, "corbel: the last boot ended in a panic:\n");
    for (char c; log_read(kept, &at, &c, 1);) {
        if (is_whole && (c != '\n' || !begins))
            print_to(to, "%s%c", begins ? "| " : "", c);
        is_whole |= c == '\n';
        begins = c == '\n';
    }
    log_init(kept);
    return true;
}
