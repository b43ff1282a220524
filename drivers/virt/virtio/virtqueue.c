// The rings of a virtqueue. Called by devices under their lock. virtio specification: "The
// Virtqueue Descriptor Table", "The Virtqueue Available Ring", "The Virtqueue Used Ring", "Used
// Buffer Notification Suppression".
#include "drivers/virt/virtio/virtqueue.h"

#include <stdatomic.h>

// A descriptor as it was read, once: where, and length, flags and next, from the low bits up.
struct descriptor {
    uint64_t at;
    uint64_t rest;
};
#define DESC_LENGTH   UINT64_C(0xffffffff)
#define DESC_NEXT     BIT(32)
#define DESC_WRITE    BIT(33)
#define DESC_INDIRECT BIT(34)
#define DESC_NUMBER   48 // bits

#define AVAIL_NO_INTERRUPT BIT32(0)

// Offsets in the rings.
#define AVAIL_ENTRY 2 // bytes
#define DESCRIPTOR  sizeof(struct descriptor)
#define EVENT_BYTES 2
#define USED_ALIGN  4
#define AVAIL_ALIGN 2

// Bytes of the rings, the other side's event behind the entries included; the event is the last.
static uint64_t available_bytes(const struct virtqueue *queue)
{
    return VIRTQUEUE_ENTRIES + (uint64_t)queue->size * AVAIL_ENTRY + EVENT_BYTES;
}

static uint64_t used_bytes(const struct virtqueue *queue)
{
    return VIRTQUEUE_ENTRIES + (uint64_t)queue->size * VIRTQUEUE_ELEMENT + EVENT_BYTES;
}

bool virtqueue_is_good(const struct virtqueue *queue, const struct gmem *memory)
{
    uint64_t size = queue->size;
    return is_aligned(queue->descriptors, DESCRIPTOR) &&
           is_aligned(queue->available, AVAIL_ALIGN) && is_aligned(queue->used, USED_ALIGN) &&
           gmem_is_ram(memory, gpa(queue->descriptors), size * DESCRIPTOR) &&
           gmem_is_ram(memory, gpa(queue->available), available_bytes(queue)) &&
           gmem_is_ram(memory, gpa(queue->used), used_bytes(queue));
}

void virtqueue_find_rings(struct virtqueue *queue, const struct gmem *memory)
{
    // What is read is not written through these; and what is away has no place to be written.
    queue->since = gmem_changes(memory);
    queue->ring[VIRTQUEUE_DESCRIPTORS] =
        (uint8_t *)gmem_at(memory, gpa(queue->descriptors), queue->size * DESCRIPTOR);
    queue->ring[VIRTQUEUE_AVAILABLE] =
        (uint8_t *)gmem_at(memory, gpa(queue->available), available_bytes(queue));
    queue->ring[VIRTQUEUE_USED] = gmem_make_writable(memory, gpa(queue->used), used_bytes(queue));
}

// Reads from the available ring.
static inline bool read_available(const struct virtqueue *queue, const struct gmem *memory,
                                  uint64_t offset, uint16_t *value)
{
    const uint8_t *ring = queue->ring[VIRTQUEUE_AVAILABLE];
    if (!ring)
        return gmem_read(memory, gpa(queue->available + offset), value, sizeof(*value));
    gmem_move(value, ring + offset, sizeof(*value));
    return true;
}

// ---- chains ----

// A table of descriptors on the way through it. Most lie together.
struct table {
    uint64_t at;
    const struct descriptor *bytes; // or NULL
    unsigned count;
    bool is_indirect;
};

static inline bool read_descriptor(const struct gmem *memory, const struct table *table,
                                   unsigned number, struct descriptor *descriptor)
{
    if (!table->bytes)
        return gmem_read(memory, gpa(table->at + (uint64_t)number * DESCRIPTOR), descriptor,
                         DESCRIPTOR);
    const struct descriptor *from = &table->bytes[index_below(number, table->count)];
    descriptor->at = gmem_load64(&from->at);
    descriptor->rest = gmem_load64(&from->rest);
    return true;
}

// From a descriptor to a table of its own.
static inline const char *enter(const struct gmem *memory, struct table *table,
                                const struct descriptor *descriptor, uint64_t features)
{
    uint64_t length = descriptor->rest & DESC_LENGTH;
    if (!(features & VIRTIO_F_INDIRECT_DESC))
        return "an indirect table was not negotiated";
    if (table->is_indirect)
        return "an indirect table is in another";
    if (descriptor->rest & DESC_NEXT)
        return "an indirect table has a next";
    if (length == 0 || length % DESCRIPTOR || length > VIRTQUEUE_SIZE * DESCRIPTOR)
        return "an indirect table's length is no number of descriptors that fits the queue";
    *table = (struct table){descriptor->at, gmem_at(memory, gpa(descriptor->at), length),
                            (unsigned)(length / DESCRIPTOR), true};
    return NULL;
}

// Puts a buffer behind the others of the chain. NULL, or what is wrong with it.
static inline const char *add_buffer(const struct gmem *memory, const struct descriptor *descriptor,
                                     struct virtio_chain *chain, unsigned count)
{
    uint64_t length = descriptor->rest & DESC_LENGTH;
    if (count == VIRTQUEUE_SIZE)
        return "a chain is longer than the queue";
    if (!length)
        return "a buffer is empty";
    if (!gmem_is_ram(memory, gpa(descriptor->at), length))
        return "a buffer is not RAM";
    chain->segment[count] = (struct virtio_segment){gpa(descriptor->at), length};
    if (descriptor->rest & DESC_WRITE) {
        chain->in_bytes += length;
        return NULL;
    }
    chain->out_bytes += length;
    chain->out++;
    return chain->in_bytes ? "a buffer to read comes behind one to write" : NULL;
}

static inline __attribute__((always_inline)) const char *walk(const struct virtqueue *queue,
                                                              const struct gmem *memory,
                                                              uint64_t features, uint32_t head,
                                                              struct virtio_chain *chain)
{
    struct table table = {queue->descriptors, (const void *)queue->ring[VIRTQUEUE_DESCRIPTORS],
                          queue->size, false};
    unsigned count = 0;
    chain->head = head;
    chain->out = 0;
    chain->out_bytes = chain->in_bytes = 0;
    // Each step takes a buffer, of which there is a limit, or enters another table, once.
    for (unsigned next = head;;) {
        struct descriptor descriptor;
        const char *wrong;
        if (next >= table.count)
            return "a descriptor's number is too large";
        if (!read_descriptor(memory, &table, next, &descriptor))
            return "a table of descriptors is not RAM";
        if (descriptor.rest & DESC_INDIRECT) {
            wrong = enter(memory, &table, &descriptor, features);
            if (wrong)
                return wrong;
            next = 0;
            continue;
        }
        wrong = add_buffer(memory, &descriptor, chain, count);
        if (wrong)
            return wrong;
        count++;
        if (!(descriptor.rest & DESC_NEXT))
            break;
        next = (unsigned)(descriptor.rest >> DESC_NUMBER);
    }
    chain->in = (uint16_t)(count - chain->out);
    return NULL;
}

const char *virtqueue_walk(struct virtqueue *queue, const struct gmem *memory, uint64_t features,
                           uint32_t head, struct virtio_chain *chain)
{
    virtqueue_see(queue, memory);
    return walk(queue, memory, features, head, chain);
}

static inline enum virtqueue_result broken(const char **why, const char *text)
{
    *why = text;
    return VIRTQUEUE_BROKEN;
}

// What the driver reads to decide whether it has to notify.
static bool ask_for_notice(const struct virtqueue *queue, const struct gmem *memory,
                           uint64_t features)
{
    uint16_t next = queue->next_available;
    if (!(features & VIRTIO_F_EVENT_IDX))
        return true;
    return virtqueue_write(queue, memory, used_bytes(queue) - EVENT_BYTES, &next, sizeof(next));
}

// NULL, or what is wrong.
static const char *read_index(struct virtqueue *queue, const struct gmem *memory)
{
    if (!read_available(queue, memory, VIRTQUEUE_INDEX, &queue->available_end))
        return "the available ring is not RAM";
    atomic_thread_fence(memory_order_acquire); // what the index says is there
    return (uint16_t)(queue->available_end - queue->next_available) <= queue->size
               ? NULL
               : "the available ring holds more than its size";
}

// Looks for what is new. If it is to notify, the driver is told first where that would be, once all
// before it was taken: it looks there when it has written its index.
static const char *look(struct virtqueue *queue, const struct gmem *memory, uint64_t features,
                        bool asks)
{
    if (asks && !queue->is_asked) {
        if (!ask_for_notice(queue, memory, features))
            return "the used ring is not RAM";
        atomic_thread_fence(memory_order_seq_cst);
        queue->is_asked = true;
    }
    return read_index(queue, memory);
}

enum virtqueue_result virtqueue_take(struct virtqueue *queue, const struct gmem *memory,
                                     uint64_t features, struct virtio_chain *chain, bool asks,
                                     const char **why)
{
    uint16_t head;
    const char *wrong = NULL;
    virtqueue_see(queue, memory);
    if (queue->next_available == queue->available_end)
        wrong = look(queue, memory, features, asks);
    if (wrong)
        return broken(why, wrong);
    if (queue->next_available == queue->available_end)
        return VIRTQUEUE_EMPTY;
    uint64_t entry = queue->next_available & (queue->size - 1U);
    if (!read_available(queue, memory, VIRTQUEUE_ENTRIES + entry * AVAIL_ENTRY, &head))
        return broken(why, "the available ring is not RAM");
    wrong = walk(queue, memory, features, head, chain);
    if (wrong)
        return broken(why, wrong);
    queue->next_available++;
    queue->is_asked = false;
    return VIRTQUEUE_CHAIN;
}

// ---- what was used ----

bool virtqueue_tell(struct virtqueue *queue, const struct gmem *memory, uint64_t features)
{
    uint16_t before = queue->told, now = queue->next_used, event, flags;
    if (before == now)
        return false;
    queue->told = now;
    atomic_thread_fence(memory_order_release); // elements and data first
    virtqueue_see(queue, memory);
    if (!virtqueue_write(queue, memory, VIRTQUEUE_INDEX, &now, sizeof(now)))
        return false;
    atomic_thread_fence(memory_order_seq_cst); // the driver reads the index after it asked
    if (!(features & VIRTIO_F_EVENT_IDX))
        return read_available(queue, memory, 0, &flags) && !(flags & AVAIL_NO_INTERRUPT);
    // Is the entry after which it wants one among the new ones?
    return read_available(queue, memory, available_bytes(queue) - EVENT_BYTES, &event) &&
           (uint16_t)(now - event - 1) < (uint16_t)(now - before);
}

// ---- the bytes of chains ----

bool virtio_chain_read_parts(const struct virtio_chain *chain, const struct gmem *memory,
                             uint64_t offset, void *to, uint64_t length)
{
    struct virtio_cursor cursor = virtio_chain_at(chain, false, offset);
    uint8_t *bytes = to;
    for (uint64_t part; length; bytes += part, length -= part) {
        gpa_t at;
        part = length;
        if (!virtio_chain_next(chain, &cursor, &at, &part) || !gmem_read(memory, at, bytes, part))
            return false;
    }
    return true;
}

bool virtio_chain_write_parts(const struct virtio_chain *chain, const struct gmem *memory,
                              uint64_t offset, const void *from, uint64_t length)
{
    struct virtio_cursor cursor = virtio_chain_at(chain, true, offset);
    const uint8_t *bytes = from;
    for (uint64_t part; length; bytes += part, length -= part) {
        gpa_t at;
        part = length;
        if (!virtio_chain_next(chain, &cursor, &at, &part) || !gmem_write(memory, at, bytes, part))
            return false;
    }
    return true;
}

const struct field virtqueue_fields[] = {
    FIELD(struct virtqueue, descriptors),
    FIELD(struct virtqueue, available),
    FIELD(struct virtqueue, used),
    FIELD_WITHIN(struct virtqueue, size, 0, VIRTQUEUE_SIZE),
    FIELD(struct virtqueue, vector),
    DERIVED(struct virtqueue, available_end),
    FIELD(struct virtqueue, next_available),
    FIELD(struct virtqueue, next_used),
    FIELD(struct virtqueue, told),
    FIELD_WITHIN(struct virtqueue, is_enabled, 0, 1),
    DERIVED(struct virtqueue, is_asked),
    DERIVED(struct virtqueue, ring),
    DERIVED(struct virtqueue, since),
    {0},
};
