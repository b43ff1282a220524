// The multiplexer. The path of a guest's byte is hot: when its console is on the terminal and
// nothing waits, it goes straight there.

#include "monitor/mux_focus.h"

#include "lib/string.h"

#define QUIET_POLLS  20  // after which an unfinished line is cut by another VM's
#define PIECE        256 // bytes shown at once
#define PREFIX_BYTES 48  // room that a prefix needs

// ---- rings ----

static void ring_store(struct mux_ring *ring, uint8_t byte)
{
    ring->bytes[ring->written++ & (ring->size - 1)] = byte;
}

static uint64_t waiting(const struct mux_ring *ring)
{
    return ring->written - ring->shown;
}

// As far back as there is text: to the beginning of a line, unless nothing was lost yet.
static uint64_t oldest_line(const struct mux_ring *ring)
{
    if (ring->written <= ring->size)
        return 0;
    uint64_t at = ring->written - ring->size;
    while (at < ring->written && ring->bytes[at & (ring->size - 1)] != '\n')
        at++;
    return at < ring->written ? at + 1 : ring->written - ring->size;
}

static char byte_at(const struct mux_ring *ring, uint64_t at)
{
    return (char)ring->bytes[at & (ring->size - 1)];
}

// The length of a question to the terminal (where is the cursor? who are you?) in what is shown
// again, or 0: its answer would be typed at a guest that no longer waits for it.
static unsigned question_length(const struct mux_ring *ring)
{
    static const char *const questions[] = {"\033[6n", "\033[5n", "\033[c", "\033[0c"};
    for (unsigned i = 0; i < ARRAY_LENGTH(questions); i++) {
        unsigned length = 0;
        while (questions[i][length] && ring->shown + length < ring->replay_end &&
               byte_at(ring, ring->shown + length) == questions[i][length])
            length++;
        if (!questions[i][length])
            return length;
    }
    return 0;
}

// ---- the terminal ----

static void note_written(struct mux *mux, unsigned owner, char last)
{
    mux->owner = last == '\n' ? MUX_NOBODY : owner;
    mux->quiet = 0;
}

static void put_bytes(struct mux *mux, unsigned slot, const char *bytes, size_t length)
{
    mux->output->write(bytes, length);
    note_written(mux, slot, bytes[length - 1]);
}

static void put(struct mux *mux, unsigned owner, const char *text, size_t length)
{
    mux->output->print(text, length);
    note_written(mux, owner, text[length - 1]);
}

static void put_text(struct mux *mux, unsigned owner, const char *text)
{
    put(mux, owner, text, strlen(text));
}

void mux_print(struct mux *mux, const char *text)
{
    put_text(mux, MUX_NOBODY, text);
}

// Ends a line that belongs to somebody else.
static void end_line_of_others(struct mux *mux, unsigned owner)
{
    if (mux->owner != MUX_NOBODY && mux->owner != owner)
        put_text(mux, owner, "\n");
}

static void put_prefix(struct mux *mux, unsigned slot)
{
    char text[PREFIX_BYTES];
    size_t length = format_text(text, sizeof(text), "[%.32s] ", mux->channel[slot]->name);
    put(mux, slot, text, length);
}

static bool wants_prefix(const struct mux *mux)
{
    return mux->is_together && mux->count > 1;
}

// Whether bytes of this channel may go to the terminal now.
static bool has_turn(const struct mux *mux, unsigned slot)
{
    if (!mux->is_together)
        return mux->focus == slot;
    return mux->owner == slot || mux->owner >= MUX_NOBODY;
}

// Shows what waits in a channel: to the end of its line where lines alternate, else all. False: the
// terminal is full.
static bool show(struct mux *mux, unsigned slot)
{
    struct mux_ring *text = &mux->channel[slot]->text;
    while (waiting(text)) {
        if (!mux->output->has_room(PIECE + PREFIX_BYTES))
            return false;
        end_line_of_others(mux, slot);
        bool has_prefix = wants_prefix(mux);
        if (has_prefix && mux->owner != slot)
            put_prefix(mux, slot);
        char piece[PIECE];
        size_t length = 0;
        while (waiting(text) && length < sizeof(piece)) {
            text->shown += question_length(text);
            if (!waiting(text))
                break;
            piece[length] = byte_at(text, text->shown++);
            if (piece[length++] == '\n' && has_prefix)
                break;
        }
        if (length)
            put_bytes(mux, slot, piece, length);
        if (has_prefix && mux->owner == MUX_NOBODY)
            break;
    }
    return true;
}

// ---- output ----

void mux_attach(struct mux *mux, unsigned slot, struct mux_channel *channel, const char *name,
                uint8_t *bytes, uint32_t size)
{
    spin_lock(&mux->lock);
    channel->name = name;
    channel->text = (struct mux_ring){.bytes = bytes, .size = size};
    ring_init(&channel->typed, channel->typed_bytes, MUX_TYPED);
    mux->channel[slot] = channel;
    mux->count++;
    if (mux->focus == MUX_NOBODY)
        mux->focus = mux->last = slot;
    spin_unlock(&mux->lock);
}

// The byte's console is on the terminal and nothing is before it.
static bool write_through(struct mux *mux, unsigned slot, uint8_t byte)
{
    struct mux_ring *text = &mux->channel[slot]->text;
    char character = (char)byte;
    if (!mux->output->has_room(PREFIX_BYTES))
        return false;
    if (mux->owner != slot) {
        end_line_of_others(mux, slot);
        if (wants_prefix(mux))
            put_prefix(mux, slot);
    }
    put_bytes(mux, slot, &character, 1);
    ring_store(text, byte);
    text->shown = text->written;
    return true;
}

// Where lines alternate: those that wait show a line each, until one of them has no end yet. False:
// nothing was shown.
static bool take_turns(struct mux *mux, unsigned first)
{
    bool has_shown = false;
    for (unsigned i = 0; i < mux->count; i++) {
        unsigned slot = (first + i) % mux->count;
        if (!waiting(&mux->channel[slot]->text) || !has_turn(mux, slot))
            continue;
        if (!show(mux, slot))
            return false;
        has_shown = true;
    }
    return has_shown;
}

static bool write_byte(struct mux *mux, unsigned slot, uint8_t byte)
{
    struct mux_ring *text = &mux->channel[slot]->text;
    if (has_turn(mux, slot) && (!waiting(text) || (show(mux, slot) && !waiting(text)))) {
        if (write_through(mux, slot, byte)) {
            if (byte == '\n' && wants_prefix(mux))
                (void)take_turns(mux, slot + 1);
            return true;
        }
    }
    if (waiting(text) >= text->size)
        return false;
    ring_store(text, byte);
    if (!mux->is_together && mux->focus != slot)
        text->shown = text->written; // kept, and shown when it is chosen
    return true;
}

bool mux_write(struct mux *mux, unsigned slot, uint8_t byte)
{
    spin_lock(&mux->lock);
    bool taken = write_byte(mux, slot, byte);
    spin_unlock(&mux->lock);
    return taken;
}

static bool others_wait(const struct mux *mux, unsigned owner)
{
    for (unsigned slot = 0; slot < mux->count; slot++)
        if (slot != owner && waiting(&mux->channel[slot]->text))
            return true;
    return false;
}

// A line without an end is cut after a while of silence, if others wait. Who has text left is not
// silent: it is the terminal that is slow.
static void show_together(struct mux *mux)
{
    unsigned owner = mux->owner;
    bool is_quiet = owner < MUX_CHANNELS && !waiting(&mux->channel[owner]->text);
    if (is_quiet && mux->quiet++ >= QUIET_POLLS && others_wait(mux, owner)) {
        put_text(mux, MUX_NOBODY, "\n");
        (void)take_turns(mux, owner + 1);
    }
    while (take_turns(mux, 0))
        ;
}

bool mux_poll(struct mux *mux)
{
    spin_lock(&mux->lock);
    if (mux->is_together)
        show_together(mux);
    else if (mux->focus < MUX_CHANNELS)
        show(mux, mux->focus);
    bool is_disturbed = mux->is_disturbed && mux->owner == MUX_NOBODY;
    if (is_disturbed)
        mux->is_disturbed = false;
    spin_unlock(&mux->lock);
    return is_disturbed && mux->focus == MUX_MONITOR;
}

bool mux_finish(struct mux *mux, unsigned slot)
{
    const struct mux_ring *text = &mux->channel[slot]->text;
    spin_lock(&mux->lock);
    while (has_turn(mux, slot) && waiting(text) && show(mux, slot))
        ;
    bool is_shown = !waiting(text);
    if (is_shown && mux->owner == slot)
        put_text(mux, slot, "\n");
    spin_unlock(&mux->lock);
    return is_shown;
}

// A whole line. The monitor's own line is wiped, and drawn anew by whoever asked mux_poll().
static void show_message(struct mux *mux, const char *text, size_t length)
{
    if (mux->owner == MUX_MONITOR) {
        put_text(mux, MUX_NOBODY, "\r\033[K");
        mux->is_disturbed = true;
    } else {
        end_line_of_others(mux, MUX_NOBODY);
    }
    put(mux, MUX_NOBODY, text, length);
    mux->output->keep(text, length);
}

static void flush_message(struct mux *mux)
{
    if (mux->message[mux->message_length - 1] != '\n')
        mux->message[mux->message_length++] = '\n';
    show_message(mux, mux->message, mux->message_length);
    mux->message_length = 0;
}

// Lines come in pieces; a line that comes in one piece need not wait for another CPU's.
static void write_message(struct printer *printer, const char *text, size_t length)
{
    struct mux *mux = CONTAINER_OF(printer, struct mux, printer);
    if (!length)
        return;
    spin_lock(&mux->lock);
    if (text[length - 1] == '\n' && !mux->message_length) {
        show_message(mux, text, length);
        length = 0;
    }
    for (size_t i = 0; i < length; i++) {
        mux->message[mux->message_length++] = text[i];
        if (text[i] == '\n' || mux->message_length + 1 == sizeof(mux->message))
            flush_message(mux);
    }
    spin_unlock(&mux->lock);
}

void mux_init(struct mux *mux, const struct mux_output *output)
{
    memset(mux, 0, sizeof(*mux));
    mux->output = output;
    mux->printer.write = write_message;
    mux->is_together = true;
    mux->owner = mux->focus = mux->last = MUX_NOBODY;
}

void mux_write_monitor(struct mux *mux, const char *text, size_t length)
{
    if (!length)
        return;
    spin_lock(&mux->lock);
    end_line_of_others(mux, MUX_MONITOR);
    put(mux, MUX_MONITOR, text, length);
    spin_unlock(&mux->lock);
}

// ---- focus ----

static void forget_backlog(struct mux *mux)
{
    for (unsigned slot = 0; slot < mux->count; slot++)
        mux->channel[slot]->text.shown = mux->channel[slot]->text.written;
}

static void announce(struct mux *mux, unsigned number, const char *name)
{
    char text[96];
    size_t length = number ? format_text(text, sizeof(text), "--- %u: %.32s (Ctrl-A h helps) ---\n",
                                         number, name)
                           : format_text(text, sizeof(text), "--- %s (Ctrl-A h helps) ---\n", name);
    end_line_of_others(mux, MUX_NOBODY);
    put(mux, MUX_NOBODY, text, length);
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
    struct mux_ring *text = &mux->channel[focus]->text;
    text->shown = oldest_line(text);
    text->replay_end = text->written;
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
