// The multiplexer.

#include "monitor/mux_focus.h"

#include "lib/string.h"

#define QUIET_POLLS  20  // after which an unfinished line is cut by another VM's
#define PIECE        256 // bytes shown at once
#define PIECES       32  // of them by one call
#define PREFIX_BYTES 48  // room that a prefix needs

// Ends what a guest began, and its looks: colours, hidden text, other alphabets.
static const char settle[] = "\x18\033[m\033(B\017";

// ---- what a guest printed: its console's ring, of which the part that was shown is kept, too ----

static struct ring *ring_of(const struct mux *mux, unsigned slot)
{
    return &mux->channel[slot]->console.printed;
}

// All is on the terminal, or not wanted there.
static void pass_over(struct ring *text)
{
    text->read = text->written;
}

static char byte_at(const struct ring *text, uint64_t at)
{
    return (char)text->bytes[at & (text->size - 1)];
}

// As far back as there is text: to the beginning of a line, unless nothing was lost yet. The guest
// may be printing: it is not met where it does.
static uint64_t oldest_line(const struct ring *text)
{
    uint64_t end = text->written, begin = end - MIN(end, text->size - text->size / 16), at = begin;
    while (at < end && begin && byte_at(text, at) != '\n')
        at++;
    return at < end ? at + (begin != 0) : begin;
}

// ---- the terminal ----

static void note_written(struct mux *mux, unsigned owner, char last)
{
    mux->owner = last == '\n' ? MUX_NOBODY : owner;
    mux->quiet = 0;
}

// Whether a terminal may do more with this byte than show it.
static bool is_plain(char byte)
{
    return (byte >= ' ' && byte < 0x7f) || byte == '\n' || byte == '\r' || byte == '\t' ||
           byte == '\b';
}

static bool wants_prefix(const struct mux *mux)
{
    return mux->is_together && mux->count > 1;
}

// A guest's bytes, in the shape that they have here.
static void put_bytes(struct mux *mux, unsigned slot, const char *bytes, size_t length)
{
    bool is_text = wants_prefix(mux);
    for (size_t i = 0; i < length && !is_text && !mux->is_styled; i++)
        mux->is_styled = !is_plain(bytes[i]);
    (is_text ? mux->output->print : mux->output->write)(bytes, length);
    note_written(mux, slot, bytes[length - 1]);
}

void mux_put(struct mux *mux, unsigned owner, const char *text, size_t length)
{
    if (mux->is_styled)
        mux->output->write(settle, sizeof(settle) - 1);
    mux->is_styled = false;
    mux->output->print(text, length);
    note_written(mux, owner, text[length - 1]);
}

static void put_text(struct mux *mux, unsigned owner, const char *text)
{
    mux_put(mux, owner, text, strlen(text));
}

void mux_print(struct mux *mux, const char *text)
{
    put_text(mux, MUX_NOBODY, text);
}

void mux_end_line_of_others(struct mux *mux, unsigned owner)
{
    if (mux->owner != MUX_NOBODY && mux->owner != owner)
        put_text(mux, owner, "\n");
}

static void put_prefix(struct mux *mux, unsigned slot)
{
    char text[PREFIX_BYTES];
    size_t length = format_text(text, sizeof(text), "[%.32s] ", mux->channel[slot]->name);
    mux_put(mux, slot, text, length);
}

// Whether bytes of this channel may go to the terminal now.
static bool has_turn(const struct mux *mux, unsigned slot)
{
    if (!mux->is_together)
        return mux->focus == slot;
    return mux->owner == slot || mux->owner >= MUX_NOBODY;
}

// A byte of a channel's text as it is shown here and now. Returns how many bytes are in `out`.
static size_t shape(const struct mux *mux, unsigned slot, uint64_t at, char out[GUEST_TEXT_MOST])
{
    struct mux_channel *channel = mux->channel[slot];
    char byte = byte_at(&channel->console.printed, at);
    if (wants_prefix(mux))
        return guest_text_plain(&channel->shape, (uint8_t)byte, out);
    if (at >= channel->replay_end) {
        out[0] = byte;
        return 1;
    }
    size_t length = guest_text_replay(&channel->shape, (uint8_t)byte, out);
    if (at + 1 == channel->replay_end)
        length += guest_text_flush(&channel->shape, out + length);
    return length;
}

static void put_piece(struct mux *mux, unsigned slot, const char *piece, size_t length)
{
    if (!length)
        return;
    mux_end_line_of_others(mux, slot);
    if (wants_prefix(mux) && mux->owner != slot)
        put_prefix(mux, slot);
    put_bytes(mux, slot, piece, length);
}

// Shows what waits in a channel: to the end of its line where lines alternate, else all. False: the
// terminal is full, or enough was shown.
static bool show(struct mux *mux, unsigned slot)
{
    struct ring *text = ring_of(mux, slot);
    bool is_line = false;
    while (ring_used(text) && !is_line) {
        if (!mux->pieces || !mux->output->can_write(PIECE + PREFIX_BYTES))
            return false;
        mux->pieces--;
        char piece[PIECE];
        size_t length = 0;
        uint64_t at = text->read, end = text->written;
        while (at < end && length + GUEST_TEXT_MOST <= sizeof(piece) && !is_line) {
            is_line = wants_prefix(mux) && byte_at(text, at) == '\n';
            length += shape(mux, slot, at++, piece + length);
        }
        text->read = at;
        put_piece(mux, slot, piece, length);
    }
    return true;
}

// ---- output ----

void mux_attach(struct mux *mux, unsigned slot, struct mux_channel *channel, const char *name,
                uint8_t *bytes, uint32_t size)
{
    spin_lock(&mux->lock);
    channel->name = name;
    ring_init(&channel->console.printed, bytes, size);
    ring_init(&channel->console.typed, channel->typed_bytes, MUX_TYPED);
    mux->channel[slot] = channel;
    mux->count++;
    if (mux->focus == MUX_NOBODY)
        mux->focus = mux->last = slot;
    spin_unlock(&mux->lock);
}

// Where lines alternate: those that wait show a line each, until one of them has no end yet. False:
// nothing was shown.
static bool take_turns(struct mux *mux, unsigned first)
{
    bool has_shown = false;
    for (unsigned i = 0; i < mux->count; i++) {
        unsigned slot = (first + i) % mux->count;
        if (!ring_used(ring_of(mux, slot)) || !has_turn(mux, slot))
            continue;
        if (!show(mux, slot))
            return false;
        has_shown = true;
    }
    return has_shown;
}

static bool others_wait(const struct mux *mux, unsigned owner)
{
    for (unsigned slot = 0; slot < mux->count; slot++)
        if (slot != owner && ring_used(ring_of(mux, slot)))
            return true;
    return false;
}

// A line without an end is cut after a while of silence, if others wait. Who has text left is not
// silent: it is the terminal that is slow.
static void cut_line(struct mux *mux)
{
    unsigned owner = mux->owner;
    bool is_quiet = mux->is_together && owner < MUX_CHANNELS && !ring_used(ring_of(mux, owner));
    if (is_quiet && mux->quiet++ >= QUIET_POLLS && others_wait(mux, owner)) {
        put_text(mux, MUX_NOBODY, "\n");
        (void)take_turns(mux, owner + 1);
    }
}

// What the terminal takes; what is not shown is kept.
static void show_all(struct mux *mux)
{
    while (mux->is_together && take_turns(mux, 0))
        ;
    for (unsigned slot = 0; slot < mux->count && !mux->is_together; slot++)
        if (slot == mux->focus)
            (void)show(mux, slot);
        else
            pass_over(ring_of(mux, slot));
}

void mux_show(struct mux *mux)
{
    spin_lock(&mux->lock);
    mux->pieces = PIECES;
    show_all(mux);
    spin_unlock(&mux->lock);
}

bool mux_poll(struct mux *mux)
{
    spin_lock(&mux->lock);
    mux->pieces = PIECES;
    cut_line(mux);
    show_all(mux);
    bool is_disturbed = mux->is_disturbed && mux->owner == MUX_NOBODY;
    if (is_disturbed)
        mux->is_disturbed = false;
    spin_unlock(&mux->lock);
    return is_disturbed && mux->focus == MUX_MONITOR;
}

bool mux_finish(struct mux *mux, unsigned slot)
{
    spin_lock(&mux->lock);
    mux->pieces = PIECES;
    show_all(mux);
    bool is_shown = !ring_used(ring_of(mux, slot));
    if (is_shown && mux->owner == slot)
        put_text(mux, slot, "\n");
    spin_unlock(&mux->lock);
    return is_shown;
}

void mux_init(struct mux *mux, const struct mux_output *output)
{
    memset(mux, 0, sizeof(*mux));
    mux->output = output;
    mux->is_together = true;
    mux->owner = mux->focus = mux->last = MUX_NOBODY;
}

void mux_write_monitor(struct mux *mux, const char *text, size_t length)
{
    if (!length)
        return;
    spin_lock(&mux->lock);
    mux_end_line_of_others(mux, MUX_MONITOR);
    mux_put(mux, MUX_MONITOR, text, length);
    spin_unlock(&mux->lock);
}

// ---- focus ----

static void forget_backlog(struct mux *mux)
{
    for (unsigned slot = 0; slot < mux->count; slot++) {
        pass_over(ring_of(mux, slot));
        mux->channel[slot]->shape = (struct guest_text){0};
    }
}

static void announce(struct mux *mux, unsigned number, const char *name)
{
    char text[96];
    size_t length = number ? format_text(text, sizeof(text), "--- %u: %.32s (Ctrl-A h helps) ---\n",
                                         number, name)
                           : format_text(text, sizeof(text), "--- %s (Ctrl-A h helps) ---\n", name);
    mux_end_line_of_others(mux, MUX_NOBODY);
    mux_put(mux, MUX_NOBODY, text, length);
}

void mux_choose(struct mux *mux, unsigned focus)
{
    if (focus < MUX_CHANNELS ? !mux->channel[focus] : focus != MUX_MONITOR)
        return;
    forget_backlog(mux);
    mux->is_together = false;
    mux->focus = focus;
    mux->is_disturbed = false;
    if (focus == MUX_MONITOR) {
        announce(mux, 0, "monitor");
        return;
    }
    mux->last = focus;
    announce(mux, focus + 1, mux->channel[focus]->name);
    struct ring *text = ring_of(mux, focus);
    mux->channel[focus]->replay_end = text->written;
    text->read = oldest_line(text);
    mux->pieces = PIECES;
    (void)show(mux, focus);
}

void mux_choose_together(struct mux *mux)
{
    forget_backlog(mux);
    mux->is_together = true;
    mux->focus = mux->last;
    announce(mux, 0, "all VMs");
}

void mux_focus(struct mux *mux, unsigned focus)
{
    spin_lock(&mux->lock);
    mux_choose(mux, focus);
    spin_unlock(&mux->lock);
}
