// What Corbel itself says on the multiplexer's terminal: whatever is in focus, on lines of its own,
// broken between args.
#pragma once

#include "monitor/mux.h"

// mux->printer shows whole lines and keeps none of them. After mux_init().
void mux_messages_init(struct mux *mux);

// Shows what waits in the log, up to log_level(); the debug port gets all of it. Does nothing while
// another CPU holds the terminal: what waits is shown by the next call.
void mux_show_log(struct mux *mux);
