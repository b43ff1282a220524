// One serial line for many consoles: those of the VMs, the monitor's, and Corbel's own messages.
// The keys are QEMU's and Xen's: Ctrl-A, then a letter or a digit.
//
// Until somebody types, the lines of all VMs are shown, each whole and behind its VM's name (a VM
// alone needs no name). Afterwards one console is in focus; what the others print is kept, and
// shown when they are chosen. A line that is slow loses nothing: guests wait for it.
#pragma once

#include "lib/print.h"
#include "lib/ring.h"
#include "lib/spinlock.h"

#define MUX_CHANNELS 64
#define MUX_MONITOR  MUX_CHANNELS // as a focus
#define MUX_NOBODY   (MUX_CHANNELS + 1)
#define MUX_TYPED    512  // bytes that wait for a guest to read them
#define MUX_ESCAPE   0x01 // Ctrl-A

// The terminal. Called under the multiplexer's lock, by any CPU.
struct mux_output {
    bool (*has_room)(size_t bytes);
    void (*write)(const char *bytes, size_t length); // a guest's, as they are
    void (*print)(const char *text, size_t length);  // our own: a LF ends a line
    void (*keep)(const char *text, size_t length);   // a message of Corbel's, to be read again
};

// Text that is kept: the newest `size` bytes of all that was written.
struct mux_ring {
    uint8_t *bytes;
    uint32_t size;       // a power of two
    uint64_t written;    // bytes in all
    uint64_t shown;      // of them on the terminal, or not wanted there; at most `size` behind
    uint64_t replay_end; // what lies before was on the terminal already, or its time is over
};

struct mux_channel {
    const char *name;
    struct mux_ring text;
    uint8_t typed_bytes[MUX_TYPED];
    struct ring typed;
};

struct mux {
    struct spinlock
        lock; // guards all of this and the channels, except `typed`, which is CPU 0's alone
    const struct mux_output *output;
    struct printer printer; // Corbel's own messages: shown whatever is in focus, on lines of their
                            // own, and kept
    struct mux_channel *channel[MUX_CHANNELS];
    unsigned count;    // of the channels that there are, from 0 on
    unsigned focus;    // a channel or MUX_MONITOR
    unsigned last;     // the channel last in focus
    bool is_together;  // all channels are shown, line by line
    bool is_escaped;   // Ctrl-A was typed
    unsigned sequence; // bytes of an escape sequence that came while all channels are shown
    bool is_disturbed; // something was printed over the monitor's line
    unsigned owner;    // whose line on the terminal has no end yet, or MUX_NOBODY
    unsigned quiet;    // polls since the owner's last byte
    char message[256]; // a line of Corbel's own that is not complete
    size_t message_length;
};

void mux_init(struct mux *mux, const struct mux_output *output);

// A VM's console: `name` and `size` bytes (a power of two) at `bytes` stay the channel's. Slots are
// filled from 0 on, each once, MUX_CHANNELS at most.
void mux_attach(struct mux *mux, unsigned slot, struct mux_channel *channel, const char *name,
                uint8_t *bytes, uint32_t size);

// A byte from a guest. False: no room now, offer it again after mux_poll(). Any CPU may call it.
MUST_CHECK bool mux_write(struct mux *mux, unsigned slot, uint8_t byte);

// A VM has ended: what it printed last is shown, and its unfinished line ended. False: the terminal
// is full, or another's line has no end yet: ask again after mux_poll().
MUST_CHECK bool mux_finish(struct mux *mux, unsigned slot);

// Shows what waits, as the terminal takes it. About a hundred times a second. True: the monitor's
// line was printed over, and wants to be drawn anew.
bool mux_poll(struct mux *mux);

// The monitor's output. Only while it is in focus.
void mux_write_monitor(struct mux *mux, const char *text, size_t length);

enum mux_action {
    MUX_NOTHING,
    MUX_INPUT,      // it waits for its VM: mux_peek()
    MUX_TO_MONITOR, // the byte is the monitor's
    MUX_ENTER,      // the monitor came into focus
    MUX_BREAK,      // a break on the line of the VM in focus
    MUX_QUIT,       // end everything
    MUX_FULL,       // the guest does not read, and no more can wait for it: the byte is lost
};

// A byte from the keyboard. CPU 0 only, as the following.
enum mux_action mux_type(struct mux *mux, uint8_t byte);

// Whether a further byte may be lost.
bool mux_is_full(const struct mux *mux);

// The next byte that waits for the VM of a slot, or -1; and the same, taken.
int mux_peek(struct mux *mux, unsigned slot);
void mux_take(struct mux *mux, unsigned slot);

// Puts a channel or the monitor into focus. A channel that does not exist changes nothing.
void mux_focus(struct mux *mux, unsigned focus);
