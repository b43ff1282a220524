// What the keyboard (mux_keys.c) and Corbel's messages (mux_messages.c) ask of the terminal
// (mux.c). All of it under mux->lock.
#pragma once

#include "monitor/mux.h"

// Puts a channel or the monitor into focus, if it exists; or shows all VMs' lines again.
void mux_choose(struct mux *mux, unsigned focus);
void mux_choose_together(struct mux *mux);

// Whole lines, whatever stands on the terminal.
void mux_print(struct mux *mux, const char *text);

// Text of our own, on the line of `owner`; and the end of a line that is somebody else's.
void mux_put(struct mux *mux, unsigned owner, const char *text, size_t length);
void mux_end_line_of_others(struct mux *mux, unsigned owner);
