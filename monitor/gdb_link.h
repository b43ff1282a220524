// Packets of gdb's remote protocol over a stream: checksums, acknowledgements, escapes. Nothing
// waits here: what does not fit into the stream is given later. gdb's manual: "Remote Protocol",
// "Overview", "Packet Acknowledgment", "Interrupts".
#pragma once

#include "lib/print.h"
#include "lib/stream.h"

#define GDB_PACKET 4096 // bytes of a packet, without '$' and checksum

enum gdb_event {
    GDB_NOTHING,
    GDB_PACKET_READY, // `in`, until gdb_link_reply_done()
    GDB_INTERRUPT,    // Ctrl-C
    GDB_GREETING,     // a '+' where none is expected: a gdb that has just come
};

struct gdb_link {
    struct printer reply; // what is printed here is the next packet's; too much of it is cut
    struct stream_end *end;
    bool acknowledges; // both sides do: QStartNoAckMode ends it
    uint8_t state;     // 0: no packet has begun
    uint8_t sum, given_sum;
    char acknowledgement; // to be sent, or 0
    bool is_too_long;
    bool awaits;         // the acknowledgement of the last reply
    bool has_reply;      // complete, in `out`
    unsigned in_length;  // `in` ends with a NUL besides
    unsigned out_length; // of the reply, with what is around it
    unsigned out_sent;
    char in[GDB_PACKET + 1];
    char out[GDB_PACKET + 4];
};

void gdb_link_init(struct gdb_link *link, struct stream_end *end);

// Takes bytes until something has come. Nothing is taken while a reply is on its way, but what
// acknowledges it.
enum gdb_event gdb_link_receive(struct gdb_link *link);

// What was printed to `reply` is a packet, and goes on its way.
void gdb_link_send(struct gdb_link *link);

// Gives the stream what it takes. False: there is more.
bool gdb_link_flush(struct gdb_link *link);
