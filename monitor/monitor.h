// The monitor: a prompt at which the operator looks after the VMs, with the words of QEMU's
// monitor. Bytes come in from the multiplexer, text goes out to it.
#pragma once

#include "monitor/host.h"
#include "monitor/line.h"

#define MONITOR_BUFFER 512

struct monitor {
    const struct monitor_host *host;
    struct printer *to;     // the terminal; each write is a piece of a line or several lines
    struct printer printer; // collects pieces for `to`
    char buffer[MONITOR_BUFFER];
    size_t buffered;
    struct line line;
    unsigned slot; // the VM that commands without a name mean: the one last in focus
    unsigned vcpu; // whose registers and address space are looked at
    bool has_left; // a command chose a console
};

void monitor_init(struct monitor *monitor, const struct monitor_host *host, struct printer *to);

// It comes into focus, from the console of a slot: prompts.
void monitor_enter(struct monitor *monitor, unsigned slot);

// Something was printed over its line.
void monitor_redraw(struct monitor *monitor);

// A byte from the keyboard.
void monitor_type(struct monitor *monitor, uint8_t byte);
