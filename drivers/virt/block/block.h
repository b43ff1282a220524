// What stands behind a virtual disk: RAM that is the VM's, or the bytes of a boot module, which are
// read-only, both of which serve at once; or a back end that answers later.
#pragma once

#include "vm/gmem.h"

#define BLOCK_SECTOR 512
#define BLOCK_NAME   20

struct block;

// ---- bytes that are elsewhere: requests are answered later, in any order, or never ----

enum block_operation { BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH, BLOCK_ZERO, BLOCK_DISCARD };

struct block_request {
    enum block_operation operation;
    bool is_durable; // of what writes: it is answered when it would outlive a crash
    uint64_t offset; // bytes, within the disk; 0 of a flush
    uint64_t length;
};

// The device whose requests they are. Back ends call it, without a lock that submit() takes; the
// device's own lock is taken. A handle is a request's name, and no other ever has it.
struct block_client {
    const struct block_client_class *class;
};
struct block_client_class {
    // Copies bytes that a write brings from the guest, or those of a read to it, from `offset` of
    // the request on. False: it is not under way any more (a reset), or its driver has broken it.
    bool (*move)(struct block_client *client, uint64_t handle, uint64_t offset, void *bytes,
                 uint64_t length);
    // Answers a request; one that is not under way any more, too: it makes room.
    void (*answer)(struct block_client *client, uint64_t handle, bool is_done);
};

// A flush is answered when all that was answered before it was submitted is durable. Nothing else
// has an order.
struct block_backend {
    // Whose requests come from now on; NULL: nobody's. When this returns, the client before is not
    // called any more, and what it asked for is not answered to anybody.
    void (*attach)(const struct block *block, struct block_client *client);
    // Takes a request, to be answered after this returns. False: no more can be under way; it comes
    // again after the next answer.
    bool (*submit)(const struct block *block, uint64_t handle, const struct block_request *request);
};

// ---- disks ----

struct block {
    char name[BLOCK_NAME + 1]; // its serial number
    uint64_t sectors;
    const uint8_t *image;                // NULL: RAM
    struct gmem data;                    // of so many bytes from 0 on
    const struct block_backend *backend; // NULL: the bytes are here
    bool is_read_only;                   // the back end's, if there is one
};

static inline bool block_is_read_only(const struct block *block)
{
    return block->image || block->is_read_only;
}

// Of a disk whose bytes are here: copies `length` bytes at `offset`, which are in range, to the
// guest, or from it; or makes them zero. False: it could not be done; some of them may be.
MUST_CHECK static inline bool block_read(const struct block *block, uint64_t offset,
                                         const struct gmem *guest, gpa_t to, uint64_t length)
{
    return block->image ? gmem_write(guest, to, block->image + offset, length)
                        : gmem_copy(guest, to, &block->data, gpa(offset), length);
}

MUST_CHECK static inline bool block_write(const struct block *block, uint64_t offset,
                                          const struct gmem *guest, gpa_t from, uint64_t length)
{
    return gmem_copy(&block->data, gpa(offset), guest, from, length);
}

MUST_CHECK static inline bool block_zero(const struct block *block, uint64_t offset,
                                         uint64_t length)
{
    return gmem_clear(&block->data, gpa(offset), length);
}

// What is there is of no use any more: it becomes what the disk began with, or zeros, where that
// gives memory back.
MUST_CHECK static inline bool block_discard(const struct block *block, uint64_t offset,
                                            uint64_t length)
{
    if (!block->data.drop)
        return block_zero(block, offset, length);
    gmem_discard(&block->data, gpa(offset), length);
    return true;
}
