// The monitor: commands by which VMs are looked after, with the words of QEMU's monitor. A command
// is a line of text, its answer goes to a printer; where lines come from is monitor/prompt.h's and
// QMP's business.
#pragma once

#include "monitor/host.h"
#include "vm/right.h"

struct monitor {
    const struct monitor_host *host;
    struct printer printer; // takes the answers, in pieces of any length
    const uint8_t *rights;  // enum right, of each slot; NULL: the operator's
    enum right needed;      // for the command that runs, over the VMs that it names
    unsigned slot;          // the VM that commands without a name mean
    unsigned vcpu;          // whose registers and address space are looked at
    bool has_left;          // a command chose a console
};
