// QEMU's guest agent, asked by the operator: a line of JSON goes to a program in the guest, and a
// line comes back. Before each question the agent is synchronized, so that nothing old is taken for
// the answer. What comes is a guest's: anything, of any length, or nothing. qemu-ga's
// documentation: "guest-sync-delimited".
#pragma once

#include "vm/console.h"

#define AGENT_LINE  1024 // of what it says; more is no answer
#define AGENT_RINGS 2048

enum agent_order {
    AGENT_NOTHING,
    AGENT_PING,
    AGENT_FREEZE, // its file systems are written out, and nothing is written to them
    AGENT_THAW,   // until this
    AGENT_STATUS, // of the freeze
    AGENT_SHUTDOWN,
    AGENT_ORDERS,
};

enum agent_result {
    AGENT_WAITS, // or has no order
    AGENT_DONE,
    AGENT_REFUSED, // the agent says why
    AGENT_SILENT,  // it does not answer
};

struct guest_agent {
    struct vm_console line; // the guest's port; whoever moves the bytes reads `typed`
    uint8_t printed[AGENT_RINGS], typed[AGENT_RINGS];
    enum agent_order order; // under way
    bool is_synchronized;
    bool is_delimited; // a byte FFh stood before this line
    uint32_t number;   // of the last synchronization
    uint64_t deadline; // nanoseconds
    size_t length;     // of what has come of a line
    char text[AGENT_LINE];
};

void guest_agent_init(struct guest_agent *agent);

// Gives an order at `now`, in nanoseconds of any clock that goes on. False: another is under way.
MUST_CHECK bool guest_agent_order(struct guest_agent *agent, enum agent_order order, uint64_t now);

// Reads what the agent said until now. If its order has come to an end, `answer` gets a line for
// the operator.
enum agent_result guest_agent_attend(struct guest_agent *agent, uint64_t now, char *answer,
                                     size_t size);
