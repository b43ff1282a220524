// What the keyboard (mux_keys.c) asks of the terminal (mux.c). All of it under mux->lock.
#pragma once

#include "monitor/mux.h"

// Puts a channel or the monitor into focus, if it exists; or shows all VMs' lines again.
void mux_choose(struct mux *mux, unsigned focus);
void mux_choose_together(struct mux *mux);

// Whole lines, whatever stands on the terminal.
void mux_print(struct mux *mux, const char *text);
