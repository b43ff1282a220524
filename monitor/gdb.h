// A session of gdb's remote protocol for one VM: each vCPU is a thread, numbered from 1. It begins
// when the other end of the stream speaks, which stops the VM, and ends when it lets go, or the VM
// does. All threads stop and go together. gdb's manual: "Remote Protocol".
//
// By the tasks that may call monitor_host's functions.
#pragma once

#include "monitor/gdb_link.h"
#include "monitor/monitor.h"
#include "vm/debugger.h"

// What is done once the VM may go on.
enum gdb_then { GDB_STAYS, GDB_GOES, GDB_DETACHES, GDB_KILLS };

struct gdb {
    const struct monitor_host *host;
    unsigned slot;   // of the VM, whether it is there or not
    bool is_running; // the other end waits to hear that the VM stopped
    bool is_64;      // which registers it was told of
    bool is_16;      // and which instructions
    bool tells_kind; // it understands swbreak and hwbreak
    uint8_t then;    // enum gdb_then
    unsigned thread; // the vCPU that its commands mean
    struct gdb_link link;
    struct debugger debugger;
    struct monitor monitor;     // `monitor COMMAND`
    uint8_t rights[CONFIG_VMS]; // which concerns this VM alone
};

void gdb_init(struct gdb *gdb, const struct monitor_host *host, unsigned slot,
              struct stream_end *end);

// Does what there is to do, at most one packet of it. True: there may be more.
bool gdb_step(struct gdb *gdb);

// Lets the VM go, as if the other end had detached. Afterwards gdb_step() may begin another
// session.
void gdb_leave(struct gdb *gdb);

// ---- for monitor/gdb*.c ----

// A hexadecimal number; false: there is none, or it does not fit 64 bits.
bool gdb_number(const char **text, uint64_t *value);

// The vCPU that a thread's name ("1", "p1.1", "-1", "0") means: *all if it means any; false: none.
bool gdb_thread(const struct gdb *gdb, const char **text, unsigned *thread, bool *all);

// Bytes as hexadecimal digits, into the reply; and from them: how many.
void gdb_print_bytes(struct gdb *gdb, const uint8_t *bytes, uint64_t length);
unsigned gdb_read_bytes(const char *text, uint8_t *bytes, unsigned most);

// Runs a line of the monitor's, given in digits, of a VM that is not held.
void gdb_monitor(struct gdb *gdb, const char *digits);

// OK, or an error.
void gdb_say(struct gdb *gdb, bool is_done);

// The packets about registers, memory and breakpoints, of a VM that is held. False: it is none.
bool gdb_command(struct gdb *gdb, const char *packet);

// Those that are questions and settings (q, Q).
void gdb_query(struct gdb *gdb, const char *packet);
