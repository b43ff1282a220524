// Metrics of the VMs that somebody may observe, for Prometheus: its text format, as the answer to a
// request of HTTP/1.0. Made line by line, as the stream has room, so that their number has no
// bound. Prometheus' "Exposition formats".
#pragma once

#include "lib/stream.h"
#include "monitor/host.h"
#include "vm/right.h"

#define METRICS_LINE 256

struct metrics {
    const struct monitor_host *host;
    const uint8_t *rights; // enum right, over each slot
    struct stream_end *end;
    unsigned asked;         // bytes
    char request[5];        // the first of them
    bool is_blank;          // what is asked ends with the beginning of an empty line
    bool is_asked;          // all of it is there
    unsigned family;        // of the next line; 0: the answer's head
    unsigned slot, item;    // ... which VM, and which of its vCPUs, cards, exit reasons
    bool is_named;          // the family's own lines are said
    unsigned length, given; // of the line
    char line[METRICS_LINE];
};

enum metrics_result { METRICS_WAITS, METRICS_MORE, METRICS_END };

// Rights and the stream's end stay whoever's they are.
void metrics_begin(struct metrics *metrics, const struct monitor_host *host, const uint8_t *rights,
                   struct stream_end *end);

// Does a piece. METRICS_WAITS: for its stream. METRICS_END: all is said, or nobody asks.
enum metrics_result metrics_step(struct metrics *metrics);
