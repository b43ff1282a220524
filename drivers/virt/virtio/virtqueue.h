// Split virtqueues: what a driver made available, as lists of checked guest memory, and what was
// used of it. Nothing in a ring is trusted: it is the driver's, who may change it at any time, so
// that each index and each descriptor is read once. virtio specification: "Split Virtqueues".
#pragma once

#include "lib/fields.h"
#include "vm/gmem.h"

#define VIRTQUEUE_SIZE 256 // entries at most, and so descriptors of a chain

enum { VIRTQUEUE_DESCRIPTORS, VIRTQUEUE_AVAILABLE, VIRTQUEUE_USED, VIRTQUEUE_RINGS };

// Features of rings.
#define VIRTIO_F_INDIRECT_DESC BIT(28)
#define VIRTIO_F_EVENT_IDX     BIT(29)

struct virtqueue {
    uint64_t descriptors; // guest-physical addresses
    uint64_t available;
    uint64_t used;
    uint32_t size; // entries, a power of two
    uint16_t vector;
    uint16_t available_end;  // what was last seen as the driver's index; not state, but between two
                             // looks at it
    uint16_t next_available; // the entries that were taken, modulo 2^16
    uint16_t next_used;      // ... and those that were given back
    uint16_t told;           // ... when the driver was last looked after
    uint8_t is_enabled;      // 1 or 0
    uint8_t is_asked;        // the driver knows that it has to notify; not state either
    // Where we see the rings, if they lie together (else NULL), and since which gmem_changes().
    // Derived, too.
    uint8_t *ring[VIRTQUEUE_RINGS];
    uint64_t since;
};

extern const struct field virtqueue_fields[];

struct virtio_segment {
    gpa_t at;
    uint64_t length;
};

// What a driver made available: `out` segments for the device to read, and then `in` for it to
// write.
struct virtio_chain {
    uint32_t head;
    uint16_t out;
    uint16_t in;
    uint64_t out_bytes;
    uint64_t in_bytes;
    struct virtio_segment segment[VIRTQUEUE_SIZE];
};

// What a chain costs who walks it, in bytes that could be copied meanwhile.
#define VIRTIO_DESCRIPTOR_COST UINT64_C(256)
static inline uint64_t virtio_chain_cost(const struct virtio_chain *chain)
{
    return VIRTIO_DESCRIPTOR_COST * (chain->out + (uint64_t)chain->in);
}

// The rings of an enabled queue are aligned and in RAM.
bool virtqueue_is_good(const struct virtqueue *queue, const struct gmem *memory);

// Takes the next chain. VIRTQUEUE_BROKEN: the driver did what it must not, `why` says what, and the
// device needs a reset. VIRTQUEUE_EMPTY: the driver will notify, if it is asked to.
enum virtqueue_result { VIRTQUEUE_EMPTY, VIRTQUEUE_CHAIN, VIRTQUEUE_BROKEN };
enum virtqueue_result virtqueue_take(struct virtqueue *queue, const struct gmem *memory,
                                     uint64_t features, struct virtio_chain *chain, bool asks,
                                     const char **why);

// Walks the chain that begins with descriptor `head`. NULL, or what is wrong with it.
MUST_CHECK const char *virtqueue_walk(struct virtqueue *queue, const struct gmem *memory,
                                      uint64_t features, uint32_t head, struct virtio_chain *chain);

// Offsets in the rings, and the bytes of an element of the used one.
#define VIRTQUEUE_INDEX   2
#define VIRTQUEUE_ENTRIES 4
#define VIRTQUEUE_ELEMENT 8

void virtqueue_find_rings(struct virtqueue *queue, const struct gmem *memory);

// Before the rings are touched: since they were found, RAM may have come or gone.
static inline void virtqueue_see(struct virtqueue *queue, const struct gmem *memory)
{
    if (queue->since != gmem_changes(memory))
        virtqueue_find_rings(queue, memory);
}

// Writes to the used ring.
MUST_CHECK static inline bool virtqueue_write(const struct virtqueue *queue,
                                              const struct gmem *memory, uint64_t offset,
                                              const void *from, uint64_t length)
{
    uint8_t *ring = queue->ring[VIRTQUEUE_USED];
    gpa_t at = gpa(queue->used + offset);
    if (!ring)
        return gmem_write(memory, at, from, length);
    gmem_move(ring + offset, from, length);
    gmem_mark_dirty(memory, at, length);
    return true;
}

// Gives a chain back, `written` bytes of which were written. False: the ring is not RAM any more.
MUST_CHECK static inline bool virtqueue_give(struct virtqueue *queue, const struct gmem *memory,
                                             uint32_t head, uint32_t written)
{
    uint64_t entry = queue->next_used & (queue->size - 1U);
    uint64_t element = head | (uint64_t)written << 32;
    virtqueue_see(queue, memory);
    bool is_given = virtqueue_write(queue, memory, VIRTQUEUE_ENTRIES + entry * VIRTQUEUE_ELEMENT,
                                    &element, sizeof(element));
    queue->next_used = (uint16_t)(queue->next_used + is_given);
    return is_given;
}

// Lets the driver see what was given back. True: it wants an interrupt.
MUST_CHECK bool virtqueue_tell(struct virtqueue *queue, const struct gmem *memory,
                               uint64_t features);

// A place among the bytes of one direction, and the way on from there: *at and *length become the
// next part that lies in one segment, at most `*length` bytes. False: there is none.
struct virtio_cursor {
    unsigned segment, end;
    uint64_t offset; // in the segment
};

static inline struct virtio_cursor virtio_chain_at(const struct virtio_chain *chain, bool in,
                                                   uint64_t offset)
{
    struct virtio_cursor cursor = {in ? chain->out : 0, chain->out + (in ? chain->in : 0U), offset};
    while (cursor.segment < cursor.end && cursor.offset >= chain->segment[cursor.segment].length)
        cursor.offset -= chain->segment[cursor.segment++].length;
    return cursor;
}

static inline bool virtio_chain_next(const struct virtio_chain *chain, struct virtio_cursor *cursor,
                                     gpa_t *at, uint64_t *length)
{
    if (cursor->segment >= cursor->end)
        return false;
    const struct virtio_segment *segment = &chain->segment[cursor->segment];
    *at = gpa(segment->at.value + cursor->offset);
    *length = MIN(*length, segment->length - cursor->offset);
    cursor->offset += *length;
    if (cursor->offset == segment->length) {
        cursor->segment++;
        cursor->offset = 0;
    }
    return true;
}

bool virtio_chain_read_parts(const struct virtio_chain *chain, const struct gmem *memory,
                             uint64_t offset, void *to, uint64_t length);

// Copies `length` bytes at `offset` of what the device reads, or to what it writes. False: the
// chain is shorter.
MUST_CHECK static inline bool virtio_chain_read(const struct virtio_chain *chain,
                                                const struct gmem *memory, uint64_t offset,
                                                void *to, uint64_t length)
{
    const struct virtio_segment *first = &chain->segment[0];
    if (offset || !chain->out || first->length < length) // a header mostly lies together
        return virtio_chain_read_parts(chain, memory, offset, to, length);
    return gmem_read(memory, first->at, to, length);
}
bool virtio_chain_write_parts(const struct virtio_chain *chain, const struct gmem *memory,
                              uint64_t offset, const void *from, uint64_t length);
MUST_CHECK static inline bool virtio_chain_write(const struct virtio_chain *chain,
                                                 const struct gmem *memory, uint64_t offset,
                                                 const void *from, uint64_t length)
{
    const struct virtio_segment *first = &chain->segment[index_below(chain->out, VIRTQUEUE_SIZE)];
    if (offset || !chain->in || first->length < length)
        return virtio_chain_write_parts(chain, memory, offset, from, length);
    return gmem_write(memory, first->at, from, length);
}

// Writes the last byte that the device can, of a chain that has one: a status, in many protocols.
MUST_CHECK static inline bool virtio_chain_write_last(const struct virtio_chain *chain,
                                                      const struct gmem *memory, uint8_t byte)
{
    const struct virtio_segment *last =
        &chain->segment[index_below(chain->out + chain->in - 1U, VIRTQUEUE_SIZE)];
    return gmem_write(memory, gpa(last->at.value + last->length - 1), &byte, sizeof(byte));
}
