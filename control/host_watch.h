// A watchdog for our own CPUs: one that gets nowhere in root operation ends in a panic that shows
// where it is. Each CPU watches the next one, and looks after its own machine-check banks; one
// alone is not watched.
#pragma once

// A CPU that gets nowhere for so many seconds panics. Once all CPUs are started, after loop_init(),
// before any CPU's loop. CPU `hangs` then hangs, if there is such a one.
void host_watch_init(unsigned seconds, unsigned hangs);
