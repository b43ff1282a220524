// One serial line for many consoles: those of the VMs, the monitor's, and Corbel's own messages.
// The keys are QEMU's and Xen's: Ctrl-A, then a letter or a digit.
//
// Until somebody types, the lines of all VMs are shown, each whole and behind its VM's name (a VM
// alone needs no name): as text alone, since a VM could paint over the others' lines and Corbel's.
// Afterwards one console is in focus, its bytes as they are; what the others print is kept, and
// shown when they are chosen. A line that is slow loses nothing: guests wait for it.
#pragma once

#include "lib/log.h"
#include "lib/spinlock.h"
#include "monitor/guest_text.h"
#include "vm/console.h"

#define MUX_CHANNELS 64
#define MUX_MONITOR  MUX_CHANNELS // as a focus
#define MUX_NOBODY   (MUX_CHANNELS + 1)
#define MUX_TYPED    512  // bytes that wait for a guest to read them
#define MUX_ESCAPE   0x01 // Ctrl-A

// The terminal. Called under the multiplexer's lock, by any CPU.
struct mux_output {
    bool (*can_write)(size_t bytes);
    void (*write)(const char *bytes, size_t length); // as they are
    void (*print)(const char *text, size_t length);  // text: a LF ends a line
    void (*debug)(const char *text, size_t length);  // a message of Corbel's, for the debug port
};

struct mux_channel {
    const char *name;
    struct vm_console console;
    uint8_t typed_bytes[MUX_TYPED];
    uint64_t replay_end;     // what was printed before was on the terminal, or its time is over
    struct guest_text shape; // of what is on its way to the terminal
};

struct mux {
    struct spinlock lock; // guards all of this, and the console's end of the channels' rings
    const struct mux_output *output;
    struct printer printer; // see mux_messages.h
    char line[LOG_TEXT];    // of the printer, without its end yet
    size_t line_length;
    struct mux_channel *channel[MUX_CHANNELS];
    unsigned count;    // of the channels that there are, from 0 on
    unsigned focus;    // a channel or MUX_MONITOR
    unsigned last;     // the channel last in focus
    bool is_together;  // all channels are shown, line by line
    bool is_escaped;   // Ctrl-A was typed
    bool is_styled;    // a guest may have left the terminal in the middle of something
    bool is_disturbed; // something was printed over the monitor's line
    unsigned owner;    // whose line on the terminal has no end yet, or MUX_NOBODY
    unsigned quiet;    // polls since the owner's last byte
    unsigned pieces;   // that may still be shown by this call
};

void mux_init(struct mux *mux, const struct mux_output *output);

// A VM's console: `name` and `size` bytes (a power of two) at `bytes` stay the channel's. Slots are
// filled from 0 on, each once, MUX_CHANNELS at most.
void mux_attach(struct mux *mux, unsigned slot, struct mux_channel *channel, const char *name,
                uint8_t *bytes, uint32_t size);

// A VM has ended: what it printed last is shown, and its unfinished line ended. False: the terminal
// is full, or another's line has no end yet: ask again after mux_poll().
MUST_CHECK bool mux_finish(struct mux *mux, unsigned slot);

// Shows what guests printed, as the terminal takes it.
void mux_show(struct mux *mux);

// The same, about a hundred times a second: a line that has no end for long makes way. True: the
// monitor's line was printed over, and wants to be drawn anew.
bool mux_poll(struct mux *mux);

// The monitor's output. Only while it is in focus.
void mux_write_monitor(struct mux *mux, const char *text, size_t length);

enum mux_action {
    MUX_NOTHING,
    MUX_INPUT,      // it is the next of its channel's `typed`
    MUX_TO_MONITOR, // the byte is the monitor's
    MUX_ENTER,      // the monitor came into focus
    MUX_BREAK,      // a break on the line of the VM in focus
    MUX_QUIT,       // end everything
    MUX_FULL,       // the guest does not read, and no more can wait for it: the byte is lost
};

// A byte from the keyboard. From one CPU at a time, as the following.
enum mux_action mux_type(struct mux *mux, uint8_t byte);

// Whether a further byte may be lost.
bool mux_is_full(const struct mux *mux);

// Puts a channel or the monitor into focus. A channel that does not exist changes nothing.
void mux_focus(struct mux *mux, unsigned focus);
