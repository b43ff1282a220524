// QMP of a VM, QEMU's language for programs: a session over a stream. JSON objects come in, each is
// answered by one, in order; events come between. QEMU's docs/interop/qmp-spec.txt; what commands
// take and return is named in its QAPI schema (version 7.2).
//
// A session is driven by its owner, one of the tasks that may ask the monitor's host: in pieces,
// and without ever waiting. What a client sends is bounded here; a client that does not read stops
// its own session.
#pragma once

#include "lib/json.h"
#include "lib/stream.h"
#include "monitor/monitor.h"

#define QMP_REQUEST 4096 // bytes of a request at most
#define QMP_ANSWER  2048 // of what is said at once
#define QMP_ID      512  // of a request's id

struct qmp_command;

struct qmp {
    struct monitor monitor; // runs the text monitor's commands
    uint8_t rights[CONFIG_VMS];
    struct stream_end *end;
    struct news_reader reader;

    bool is_negotiated;
    bool is_too_long; // the request that comes: it was answered already
    bool is_cut;      // the text that is printed
    struct json_scan scan;
    const struct qmp_command *command; // has more to answer
    struct span arguments, id;         // its; without `at`: there are none
    unsigned piece;                    // of its answer, from 0 on

    uint32_t length; // of the request, as far as it has come
    uint32_t said;   // of the answer, as far as it is not given to the stream
    struct printer printer;
    char request[QMP_REQUEST];
    char answer[QMP_ANSWER];
};

enum qmp_state {
    QMP_WAITS, // for its client, or for news
    QMP_GOES_ON,
    QMP_HAS_ENDED, // the client has gone
};

// Begins a session about a slot's VM with this right, from RIGHT_OBSERVE to RIGHT_TAKE; its owner
// has set reader.wake. The stream's end stays the owner's, who closes it after qmp_end().
void qmp_begin(struct qmp *qmp, const struct monitor_host *host, unsigned slot, enum right right,
               struct stream_end *end);
void qmp_end(struct qmp *qmp);

// Does a piece: at most one request, one event, or a part of an answer.
enum qmp_state qmp_step(struct qmp *qmp);
