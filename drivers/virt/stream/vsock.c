// Connections are found by a hash of their ports, and have their turns to send in a ring, a packet
// each. A guest has the bytes that the other end can hold and no more: one that sends beyond them
// is reset. Whatever a guest does, a packet of its own costs a walk along one bucket.
#include "drivers/virt/stream/vsock.h"

#include "vm/deadlines.h"

#define SECOND      UINT64_C(1000000000)
#define CALL_TIME   (2 * SECOND) // to answer a call
#define LEAVE_TIME  (8 * SECOND) // to take leave, as long as Linux takes
#define FIRST_PORT  0x10000      // of our calls, behind all that answer
#define PACKET_MOST 4096         // bytes, until the next one has its turn

enum { FREE, CALLED, OPEN, LEAVING };

// What is owed, in the order in which it is said; bytes come before SHUTDOWN.
enum {
    OWES_RST = 1,
    OWES_REQUEST = 2,
    OWES_RESPONSE = 4,
    OWES_SHUTDOWN = 8,
    OWES_CREDIT = 16,
    OWES_FIRST = OWES_RST | OWES_REQUEST | OWES_RESPONSE,
};
static const uint8_t operations[] = {VSOCK_RST, VSOCK_REQUEST, VSOCK_RESPONSE, VSOCK_SHUTDOWN,
                                     VSOCK_CREDIT_UPDATE};

// ---- the table ----

static uint16_t *bucket(struct vsock *vsock, uint32_t port, uint32_t guest_port)
{
    return &vsock->bucket[(guest_port + port * 61) % VSOCK_BUCKETS];
}

static struct vsock_connection *find(struct vsock *vsock, uint32_t port, uint32_t guest_port)
{
    for (unsigned at = *bucket(vsock, port, guest_port); at;) {
        struct vsock_connection *c = &vsock->connection[at - 1];
        if (c->port == port && c->guest_port == guest_port)
            return c;
        at = c->next;
    }
    return NULL;
}

static unsigned number(const struct vsock_connection *c)
{
    return (unsigned)(c - c->vsock->connection);
}

static void owe(struct vsock_connection *c, unsigned what)
{
    c->owes |= (uint8_t)what;
    c->vsock->pending[number(c) / 64] |= BIT(number(c) % 64);
}

static void expect_by(struct vsock_connection *c, uint64_t deadline)
{
    c->deadline = deadline;
    c->vsock->due = MIN(c->vsock->due, deadline);
}

static void wake(struct stream_end *end)
{
    struct vsock_connection *c = end->owner;
    struct vsock *vsock = c->vsock;
    atomic_fetch_or(&vsock->woken[number(c) / 64], BIT(number(c) % 64));
    if (!atomic_exchange(&vsock->is_roused, true))
        vsock->host->rouse(vsock);
}

// There is a free one.
static struct vsock_connection *add(struct vsock *vsock, struct stream_end *end, uint32_t port,
                                    uint32_t guest_port, uint8_t state)
{
    unsigned at = vsock->free;
    struct vsock_connection *c = &vsock->connection[at - 1];
    uint16_t *first = bucket(vsock, port, guest_port);
    vsock->free = c->next;
    *c = (struct vsock_connection){.vsock = vsock,
                                   .end = end,
                                   .deadline = NEVER,
                                   .port = port,
                                   .guest_port = guest_port,
                                   .next = *first,
                                   .state = state};
    *first = (uint16_t)at;
    vsock->open++;
    vsock->opened++;
    stream_own(end, wake, c);
    return c;
}

static void close_end(struct vsock_connection *c)
{
    if (c->end)
        stream_close(c->end);
    c->end = NULL;
}

static void drop(struct vsock_connection *c)
{
    struct vsock *vsock = c->vsock;
    uint16_t at = (uint16_t)(number(c) + 1), *link = bucket(vsock, c->port, c->guest_port);
    close_end(c);
    while (*link != at)
        link = &vsock->connection[*link - 1].next;
    *link = c->next;
    c->state = FREE;
    c->deadline = NEVER;
    c->next = vsock->free;
    vsock->free = at;
    vsock->open--;
}

void vsock_reset(struct vsock *vsock)
{
    memset(vsock->bucket, 0, sizeof(vsock->bucket));
    memset(vsock->pending, 0, sizeof(vsock->pending));
    vsock->free = vsock->turn = 0;
    vsock->refusals = vsock->open = 0;
    vsock->due = NEVER;
    for (unsigned i = VSOCK_CONNECTIONS; i-- > 0;) {
        struct vsock_connection *c = &vsock->connection[i];
        close_end(c);
        *c = (struct vsock_connection){.deadline = NEVER, .next = vsock->free};
        vsock->free = (uint16_t)(i + 1);
    }
}

// ---- from the guest ----

// The guest learns it once there is a buffer; until then its ports are taken.
static void reset(struct vsock_connection *c)
{
    close_end(c);
    c->state = LEAVING;
    c->deadline = NEVER;
    c->owes = 0;
    owe(c, OWES_RST);
}

static void refuse(struct vsock *vsock, const struct vsock_header *header)
{
    unsigned at = (vsock->first_refusal + vsock->refusals++) % VSOCK_REFUSALS;
    vsock->refused++;
    vsock->refusal[at] = (struct vsock_refusal){.cid = header->to_cid,
                                                .port = header->to_port,
                                                .guest_port = header->from_port,
                                                .type = header->type};
}

static bool accept(struct vsock *vsock, const struct vsock_header *header)
{
    if (!vsock->free)
        return false;
    struct stream_end *end = vsock->host->asked(vsock, header->to_port, header->from_port);
    if (!end)
        return false;
    struct vsock_connection *c = add(vsock, end, header->to_port, header->from_port, OPEN);
    c->guest_room = header->room;
    c->guest_taken = header->taken;
    owe(c, OWES_RESPONSE);
    return true;
}

static void hear_shutdown(struct vsock_connection *c, unsigned flags)
{
    c->heard |= flags & VSOCK_SHUT;
    if (c->heard == VSOCK_SHUT) {
        reset(c); // which is the answer; what the guest gave stays until it is taken
    } else if (c->state == OPEN) {
        if (c->heard & VSOCK_SENDS_NOT)
            stream_finish(c->end);
        if (c->heard & VSOCK_RECEIVES_NOT)
            stream_deafen(c->end);
    }
}

// False: the guest may not say that now.
static bool hear(struct vsock_connection *c, const struct vsock_header *header)
{
    switch (header->operation) {
    case VSOCK_RESPONSE:
        if (c->state != CALLED || (c->owes & OWES_REQUEST))
            return false;
        c->state = OPEN;
        c->deadline = NEVER;
        return true;
    case VSOCK_RST:
        drop(c);
        return true;
    case VSOCK_SHUTDOWN:
        if (c->state == CALLED)
            return false;
        hear_shutdown(c, header->flags);
        return true;
    case VSOCK_RW:
        if (c->state == LEAVING)
            return true; // the guest has not heard of it yet
        return c->state == OPEN && !(c->heard & VSOCK_SENDS_NOT) &&
               header->length <= ring_free(&c->end->given);
    case VSOCK_CREDIT_REQUEST:
        c->owes |= OWES_CREDIT;
        return true;
    case VSOCK_CREDIT_UPDATE:
        return true;
    default:
        return false;
    }
}

struct vsock_connection *vsock_hear(struct vsock *vsock, const struct vsock_header *header)
{
    if (header->from_cid != vsock->cid) {
        vsock->broken++;
        return NULL;
    }
    bool is_ours = header->to_cid == VSOCK_HOST && header->type == VSOCK_STREAM;
    struct vsock_connection *c = is_ours ? find(vsock, header->to_port, header->from_port) : NULL;
    if (!c) {
        bool is_request = is_ours && header->operation == VSOCK_REQUEST;
        if (header->operation != VSOCK_RST && !(is_request && accept(vsock, header)))
            refuse(vsock, header);
        return NULL;
    }
    c->guest_room = header->room;
    c->guest_taken = header->taken;
    owe(c, 0); // there may be credit now
    if (!hear(c, header)) {
        vsock->broken++;
        reset(c);
    }
    if (header->operation != VSOCK_RW || c->state != OPEN)
        return NULL;
    c->received += header->length;
    return c;
}

bool vsock_call(struct vsock *vsock, struct stream_end *end, uint32_t guest_port, uint64_t now)
{
    if (!vsock->free)
        return false;
    do
        vsock->next_port = MAX(vsock->next_port + 1, FIRST_PORT);
    while (find(vsock, vsock->next_port, guest_port));
    struct vsock_connection *c = add(vsock, end, vsock->next_port, guest_port, CALLED);
    owe(c, OWES_REQUEST);
    expect_by(c, now + CALL_TIME);
    return true;
}

void vsock_expire(struct vsock *vsock, uint64_t now)
{
    vsock->due = NEVER;
    for (unsigned i = 0; i < VSOCK_CONNECTIONS; i++) {
        struct vsock_connection *c = &vsock->connection[i];
        if (c->deadline <= now)
            reset(c);
        vsock->due = MIN(vsock->due, c->deadline);
    }
}

// ---- to the guest ----

// How much of what the guest sent is taken.
static uint32_t taken(const struct vsock_connection *c)
{
    return c->end ? c->received - (uint32_t)ring_used(&c->end->given) : c->received;
}

// What the stream has for the guest, as far as that has room.
static uint32_t sendable(const struct vsock_connection *c, const uint8_t **bytes)
{
    uint32_t on_the_way = c->sent - c->guest_taken;
    if (c->state != OPEN || on_the_way >= c->guest_room)
        return 0;
    uint32_t credit = MIN(c->guest_room - on_the_way, PACKET_MOST);
    return (uint32_t)min_once(stream_piece(c->end, bytes), credit);
}

// What it owes since the stream's other end did something.
static void look(struct vsock_connection *c)
{
    if (c->state != OPEN)
        return;
    unsigned says = (stream_is_at_end(c->end) ? VSOCK_SENDS_NOT : 0) |
                    (stream_is_unheard(c->end) ? VSOCK_RECEIVES_NOT : 0);
    if (says & ~c->said)
        c->owes |= OWES_SHUTDOWN;
    c->said |= (uint8_t)says;
    if (taken(c) - c->told >= c->end->given.size / 2)
        c->owes |= OWES_CREDIT;
}

static void merge_woken(struct vsock *vsock)
{
    if (!atomic_exchange(&vsock->is_roused, false))
        return;
    for (unsigned i = 0; i < VSOCK_WORDS; i++)
        vsock->pending[i] |= atomic_exchange(&vsock->woken[i], 0);
}

// The first that is pending, from `turn` on and around. VSOCK_CONNECTIONS: none.
static unsigned next_pending(const struct vsock *vsock)
{
    unsigned first = vsock->turn / 64;
    for (unsigned i = 0; i <= VSOCK_WORDS; i++) {
        unsigned word = (first + i) % VSOCK_WORDS;
        uint64_t set = vsock->pending[word];
        if (i == 0)
            set &= ~UINT64_C(0) << vsock->turn % 64;
        if (set)
            return word * 64 + lowest_bit(set);
    }
    return VSOCK_CONNECTIONS;
}

bool vsock_has_packet(struct vsock *vsock)
{
    const uint8_t *bytes;
    merge_woken(vsock);
    if (vsock->refusals)
        return true;
    for (unsigned at; (at = next_pending(vsock)) < VSOCK_CONNECTIONS;) {
        struct vsock_connection *c = &vsock->connection[at];
        if (c->state != FREE) {
            look(c);
            vsock->turn = (uint16_t)at;
            if (c->owes || sendable(c, &bytes))
                return true;
        }
        vsock->pending[at / 64] &= ~BIT(at % 64);
    }
    return false;
}

void vsock_packet(struct vsock *vsock, uint32_t most, struct vsock_header *header,
                  const uint8_t **bytes)
{
    *header =
        (struct vsock_header){.from_cid = VSOCK_HOST, .to_cid = vsock->cid, .type = VSOCK_STREAM};
    if (vsock->refusals) {
        const struct vsock_refusal *refusal = &vsock->refusal[vsock->first_refusal];
        header->from_cid = refusal->cid;
        header->from_port = refusal->port;
        header->to_port = refusal->guest_port;
        header->type = refusal->type;
        header->operation = VSOCK_RST;
        return;
    }
    const struct vsock_connection *c = &vsock->connection[vsock->turn];
    header->from_port = c->port;
    header->to_port = c->guest_port;
    header->room = c->end ? c->end->given.size : 0;
    header->taken = taken(c);
    uint32_t length = c->owes & OWES_FIRST ? 0 : MIN(sendable(c, bytes), most);
    if (length || !c->owes) {
        header->operation = VSOCK_RW;
        header->length = length;
        return;
    }
    header->operation = operations[lowest_bit(c->owes)];
    header->flags = header->operation == VSOCK_SHUTDOWN ? c->said : 0;
}

static void leave(struct vsock_connection *c, uint64_t now)
{
    close_end(c);
    c->state = LEAVING;
    c->owes = 0;
    expect_by(c, now + LEAVE_TIME);
}

void vsock_sent(struct vsock *vsock, const struct vsock_header *header, uint64_t now)
{
    struct vsock_connection *c = &vsock->connection[vsock->turn];
    if (vsock->refusals) {
        vsock->first_refusal = (vsock->first_refusal + 1) % VSOCK_REFUSALS;
        vsock->refusals--;
        return;
    }
    vsock->turn = (uint16_t)((vsock->turn + 1U) % VSOCK_CONNECTIONS);
    c->told = header->taken;
    c->sent += header->length;
    if (header->length)
        stream_took(c->end, header->length);
    if (header->operation == VSOCK_RST)
        drop(c);
    else if (header->operation == VSOCK_SHUTDOWN && header->flags == VSOCK_SHUT)
        leave(c, now);
    else if (header->operation != VSOCK_RW)
        c->owes &= (uint8_t)(c->owes - 1);
    c->owes &= (uint8_t)~OWES_CREDIT;
}
