// Connections of a VM, the other ends of their streams, and what the guest says and is told.
#pragma once

#include "tests/unit/support.h"

#include "drivers/virt/stream/vsock.h"
#include "vm/deadlines.h"

#define CID     3
#define RING    64 // bytes a stream holds in each direction
#define STREAMS 1100
#define SERVICE 7 // the port that answers

static struct vsock vsock;
static struct service {
    struct stream stream;
    uint8_t bytes[2 * RING];
    bool is_taken;
} services[STREAMS];
static unsigned streams, asked, roused;

static void count_wake(struct stream_end *end)
{
    ++*(unsigned *)end->owner;
}

static void release(struct stream *stream)
{
    struct service *service = CONTAINER_OF(stream, struct service, stream);
    assert_true(service->is_taken);
    service->is_taken = false;
    streams--;
}

static inline struct stream *new_stream(void)
{
    static unsigned wakes;
    struct service *service = services;
    while (service->is_taken)
        service++;
    *service = (struct service){.is_taken = true};
    stream_init(&service->stream, service->bytes, RING, release);
    stream_own(&service->stream.end[1], count_wake, &wakes);
    streams++;
    return &service->stream;
}

static struct stream *last;

static struct stream_end *ask(struct vsock *of, uint32_t port, uint32_t guest_port)
{
    (void)guest_port;
    assert_ptr_equal(of, &vsock);
    asked++;
    if (port != SERVICE)
        return NULL;
    last = new_stream();
    return &last->end[0];
}

static void rouse(struct vsock *of)
{
    assert_ptr_equal(of, &vsock);
    roused++;
}

static inline int new_vsock(void **state)
{
    static const struct vsock_host host = {ask, rouse};
    (void)state;
    memset(&vsock, 0, sizeof(vsock));
    memset(services, 0, sizeof(services));
    streams = asked = roused = 0;
    vsock.host = &host;
    vsock.cid = CID;
    vsock_reset(&vsock);
    return 0;
}

// ---- the guest ----

static inline struct vsock_header packet(uint32_t guest_port, unsigned operation)
{
    return (struct vsock_header){.from_cid = CID,
                                 .to_cid = VSOCK_HOST,
                                 .from_port = guest_port,
                                 .to_port = SERVICE,
                                 .type = VSOCK_STREAM,
                                 .operation = (uint16_t)operation,
                                 .room = 4096};
}

static inline struct vsock_connection *say(uint32_t guest_port, unsigned operation)
{
    struct vsock_header header = packet(guest_port, operation);
    return vsock_hear(&vsock, &header);
}

// The next packet for the guest, which has the bytes then; operation 0: none.
static uint8_t got[4096];

static inline struct vsock_header hear_at(uint64_t now)
{
    struct vsock_header header = {0};
    const uint8_t *bytes = NULL;
    if (!vsock_has_packet(&vsock))
        return header;
    vsock_packet(&vsock, sizeof(got), &header, &bytes);
    assert_true(header.length <= sizeof(got));
    if (header.length)
        memcpy(got, bytes, header.length);
    vsock_sent(&vsock, &header, now);
    return header;
}

static inline struct vsock_header hear(void)
{
    return hear_at(0);
}

// A connection from this port of the guest's. Returns Corbel's end.
static inline struct stream_end *connect(uint32_t guest_port)
{
    assert_null(say(guest_port, VSOCK_REQUEST));
    assert_int_equal(hear().operation, VSOCK_RESPONSE);
    return &last->end[1];
}

// Bytes of the guest's. False: it was reset.
static inline bool send(uint32_t guest_port, const void *bytes, uint32_t length)
{
    struct vsock_header header = packet(guest_port, VSOCK_RW);
    header.length = length;
    struct vsock_connection *connection = vsock_hear(&vsock, &header);
    return connection && stream_give(connection->end, bytes, length) == length;
}
