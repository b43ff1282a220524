// A watchdog for our own CPUs: one that gets nowhere in root operation ends in a panic that shows
// where it is. CPU 0 watches; nobody watches it.
#pragma once

// Once a second, on CPU 0.
void host_watch(void);
