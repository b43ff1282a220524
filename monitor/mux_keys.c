// The keyboard of the multiplexer: Ctrl-A and what follows it, and bytes that wait for a guest.

#include "monitor/mux_focus.h"

static const char help_text[] = "\nCtrl-A h       this help\n"
                                "Ctrl-A c       the monitor\n"
                                "Ctrl-A 1...9   the console of that VM\n"
                                "Ctrl-A n, p    the next VM's console, the previous one's\n"
                                "Ctrl-A 0       all VMs' output, line by line\n"
                                "Ctrl-A b       send a break\n"
                                "Ctrl-A a       send Ctrl-A (Ctrl-A twice, too)\n"
                                "Ctrl-A x       end all VMs and switch off\n";

// The channel so many steps on from the one in focus, or from the last that was, and around.
static unsigned neighbour(const struct mux *mux, unsigned steps)
{
    unsigned from = mux->focus == MUX_MONITOR ? mux->last : mux->focus;
    return mux->count ? (from + steps) % mux->count : MUX_NOBODY;
}

static enum mux_action input(struct mux *mux, uint8_t byte)
{
    if (mux->focus == MUX_MONITOR)
        return MUX_TO_MONITOR;
    if (mux->focus >= MUX_CHANNELS)
        return MUX_NOTHING;
    if (mux->is_together && mux->count > 1)
        mux_choose(mux, mux->focus);
    mux->is_together = false;
    return ring_put(&mux->channel[mux->focus]->console.typed, byte) ? MUX_INPUT : MUX_FULL;
}

static enum mux_action command(struct mux *mux, uint8_t byte)
{
    if (byte >= '1' && byte <= '9')
        mux_choose(mux, byte - '1');
    switch (byte) {
    case '0':
        mux_choose_together(mux);
        break;
    case 'n':
        mux_choose(mux, neighbour(mux, 1));
        break;
    case 'p':
        mux_choose(mux, neighbour(mux, mux->count - 1));
        break;
    case 'c':
        mux_choose(mux, MUX_MONITOR);
        return MUX_ENTER;
    case 'b':
        return mux->focus < MUX_CHANNELS ? MUX_BREAK : MUX_NOTHING;
    case 'x':
        return MUX_QUIT;
    case 'h':
    case '?':
        mux_print(mux, help_text);
        mux->is_disturbed = true;
        break;
    case 'a':
    case MUX_ESCAPE:
        return input(mux, MUX_ESCAPE);
    default:
        break;
    }
    return MUX_NOTHING;
}

enum mux_action mux_type(struct mux *mux, uint8_t byte)
{
    enum mux_action action = MUX_NOTHING;
    spin_lock(&mux->lock);
    if (mux->is_escaped) {
        mux->is_escaped = false;
        action = command(mux, byte);
    } else if (byte == MUX_ESCAPE) {
        mux->is_escaped = true;
    } else {
        action = input(mux, byte);
    }
    spin_unlock(&mux->lock);
    return action;
}

bool mux_is_full(const struct mux *mux)
{
    return mux->focus < MUX_CHANNELS && ring_free(&mux->channel[mux->focus]->console.typed) == 0;
}
