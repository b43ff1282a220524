// A machine half for tests of the monitor: three VMs (web with two vCPUs, db, and old, which has
// ended), a note of what was asked, and the text that came out.
#pragma once

#include "monitor/prompt.h"
#include "tests/ram.h"

#define DESK_VMS  3
#define DESK_RAM  8192
#define DESK_TEXT 131072

struct desk_vm {
    struct vm vm;
    struct vm_config config;
    struct news news;
    struct vcpu vcpu[2];
    uint8_t *ram;
    struct gmem_piece table[TEST_PIECES];
    bool ended, paused, ending, preserved, starting;
    unsigned held;
};

struct desk {
    struct desk_vm vm[DESK_VMS];
    struct prompt prompt;
    char asked[256];
    char all[DESK_TEXT]; // the terminal's text
    size_t all_length;
    char text[DESK_TEXT]; // what the last command said, without the echo and the next prompt
    bool refuses;         // to start a VM
    bool listens;         // the guest, to its power button
    uint64_t balloon;     // bytes that were asked for
};

extern struct desk desk;
extern const struct monitor_host desk_host;

void desk_reset(void);
void desk_type(const char *keys);

// Types a line; returns desk.text.
const char *desk_run(const char *line);
