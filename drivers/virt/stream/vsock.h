// The connections of one VM by virtio-vsock: each is one end of a stream (lib/stream.h) whose other
// end is Corbel's. What a guest's packets say comes in as headers, what it is to be told goes out
// as headers, and bytes go between packets and rings; queues are not known here. All of it is
// called under the device's lock. virtio specification: "Socket Device".
#pragma once

#include "lib/stream.h"

#define VSOCK_HOST        2 // the CID that is Corbel
#define VSOCK_CONNECTIONS 1024
#define VSOCK_BUCKETS     256
#define VSOCK_REFUSALS    32
#define VSOCK_WORDS       (VSOCK_CONNECTIONS / 64)

#define VSOCK_STREAM 1 // type of a packet

enum vsock_operation {
    VSOCK_REQUEST = 1,
    VSOCK_RESPONSE,
    VSOCK_RST,
    VSOCK_SHUTDOWN,
    VSOCK_RW,
    VSOCK_CREDIT_UPDATE,
    VSOCK_CREDIT_REQUEST,
};

// Flags of VSOCK_SHUTDOWN: who says it receives no more, sends no more.
#define VSOCK_RECEIVES_NOT 1
#define VSOCK_SENDS_NOT    2
#define VSOCK_SHUT         3

// In front of each packet's bytes. The specification calls the last two buf_alloc and fwd_cnt.
struct vsock_header {
    uint64_t from_cid, to_cid;
    uint32_t from_port, to_port;
    uint32_t length; // of the bytes
    uint16_t type;
    uint16_t operation;
    uint32_t flags;
    uint32_t room;  // what the sender can hold
    uint32_t taken; // how many bytes it has taken out of that since the connection began
} __attribute__((packed));
_Static_assert(sizeof(struct vsock_header) == 44, "virtio_vsock_hdr");

struct vsock;

// What the machine half does for it.
struct vsock_host {
    // The guest's port asks for a connection to this one of Corbel's. An end of a stream, or NULL:
    // refused.
    struct stream_end *(*asked)(struct vsock *vsock, uint32_t port, uint32_t guest_port);
    // There is something to be sent: vsock_has_packet() soon. By any CPU, under a stream's lock.
    void (*rouse)(struct vsock *vsock);
};

struct vsock_connection {
    struct vsock *vsock;
    struct stream_end *end; // NULL: it is closed
    uint64_t deadline;      // VM time
    uint32_t port, guest_port;
    uint32_t received; // bytes, modulo 2^32
    uint32_t told;     // ... of which, as the guest knows, so many are taken
    uint32_t sent;
    uint32_t guest_room, guest_taken;
    uint16_t next; // in its bucket, or among the free ones: an index + 1
    uint8_t state;
    uint8_t owes;  // what the guest is to be told: bits
    uint8_t said;  // of VSOCK_SHUT, to the guest
    uint8_t heard; // ... from it
};

struct vsock_refusal {
    uint64_t cid; // which the guest meant
    uint32_t port, guest_port;
    uint16_t type;
};

struct vsock {
    const struct vsock_host *host;
    void *owner;                      // whoever made it
    uint64_t cid;                     // the guest's
    uint64_t due;                     // VM time at which vsock_expire() is to be called
    unsigned open;                    // connections that there are
    uint64_t opened, refused, broken; // ever; broken: the guest did what it must not

    uint32_t next_port; // of Corbel's, for its own calls
    uint16_t free;
    uint16_t turn; // whose packet is next
    unsigned first_refusal, refusals;
    struct vsock_refusal refusal[VSOCK_REFUSALS];
    uint16_t bucket[VSOCK_BUCKETS];
    uint64_t pending[VSOCK_WORDS];       // connections that may have something to send
    _Atomic uint64_t woken[VSOCK_WORDS]; // ... by what their streams' other ends did
    _Atomic bool is_roused;
    struct vsock_connection connection[VSOCK_CONNECTIONS];
};

// Closes all connections, of which the guest knows nothing (more). `host` and `cid` are set.
void vsock_reset(struct vsock *vsock);

// Whether a further packet of the guest's can be answered, whatever it is.
static inline bool vsock_can_hear(const struct vsock *vsock)
{
    return vsock->refusals < VSOCK_REFUSALS;
}

// A packet of the guest's, whose header is our copy. If it returns a connection, the bytes of the
// packet are to be given to its end, where there is room for them (unless it is not heard).
struct vsock_connection *vsock_hear(struct vsock *vsock, const struct vsock_header *header);

// Asks for a connection to a port of the guest's; `end` is closed when it is refused, or after 2 s.
// False: there are too many connections.
MUST_CHECK bool vsock_call(struct vsock *vsock, struct stream_end *end, uint32_t guest_port,
                           uint64_t now);

// Whether there is a packet for the guest; and then the packet, with at most `most` bytes, which
// lie at *bytes until vsock_sent() says that they are copied.
bool vsock_has_packet(struct vsock *vsock);
void vsock_packet(struct vsock *vsock, uint32_t most, struct vsock_header *header,
                  const uint8_t **bytes);
void vsock_sent(struct vsock *vsock, const struct vsock_header *header, uint64_t now);

// Resets what the guest has not answered in time.
void vsock_expire(struct vsock *vsock, uint64_t now);
