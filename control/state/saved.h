// A VM as a stream of bytes: docs/stream.md has its format. Here are its records, written and read
// one after another, and runs of pages; which of them a VM has is control/save.c's and
// control/restore.c's. Nothing that is read is trusted.
#pragma once

#include "lib/status.h"
#include "vm/gmem.h"

#define SAVED_VERSION   1
#define SAVED_BODY_MOST (UINT32_C(1) << 20)  // bytes of a record's body
#define SAVED_RUN       (UINT32_C(64) << 10) // bytes of pages in a record that we write
#define SAVED_TEXT      4096                 // bytes of a text

enum saved_type {
    SAVED_END = 0,  // the sums of all in front of it
    SAVED_VM = 1,   // text: who it is
    SAVED_CPU = 2,  // text: what its CPUs have, by name
    SAVED_TIME = 3, // three numbers: struct saved_time
    SAVED_VCPU = 4, // a section of fields; `at`: which vCPU
    SAVED_BOARD = 5,
    SAVED_SPACE = 6, // text: where the pages are that follow; `at`: its size
    SAVED_PAGES = 7, // bytes from address `at` of that space on
    SAVED_TYPES,
};
#define SAVED_OPTIONAL BIT32(31) // of a type: who does not know it goes on without

struct saved_record {
    uint32_t type;
    uint32_t length; // of the body, which is filled up with zeros to a multiple of 8
    uint64_t at;
};

struct saved_time {
    uint64_t tsc_hz;   // of the guest's time stamp counter
    uint64_t host_tsc; // when the VM stood still: the counters' offsets are relative to it
    uint64_t ns;       // VM time
};

struct saved_sums {
    uint64_t sum, sums;
};

// ---- out ----

struct saved_writer {
    // Takes all of the bytes, later perhaps than at once. False: nobody takes them any more.
    bool (*put)(struct saved_writer *writer, const void *bytes, uint64_t length);
    // Others have their turn; false: it is called off. NULL: neither.
    bool (*pause)(struct saved_writer *writer);
    struct saved_sums sums;
    uint64_t written; // bytes
};

// What begins a stream; a record; the one that ends it. False: as put(). A body of any alignment.
MUST_CHECK bool saved_begin(struct saved_writer *writer);
MUST_CHECK bool saved_put(struct saved_writer *writer, enum saved_type type, uint64_t at,
                          const void *body, uint32_t length);
MUST_CHECK bool saved_end(struct saved_writer *writer);

// A space of `size` bytes, and what of its pages is there. Those that are zeros are left out if
// that is what the reader begins with.
MUST_CHECK bool saved_put_space(struct saved_writer *writer, const char *name, uint64_t size,
                                const struct gmem *memory, bool begins_as_zeros);

// ---- in ----

struct saved_reader {
    // Gives so many bytes. False: there are no more.
    bool (*get)(struct saved_reader *reader, void *to, uint64_t length);
    bool (*pause)(struct saved_reader *reader); // as the writer's
    struct saved_sums sums, before; // of all that was read, and in front of the last record
    uint64_t read;                  // bytes
    uint64_t page[512];
};

// Reads what a stream begins with. All of them explain what they do not like.
MUST_CHECK status_t saved_open(struct saved_reader *reader, struct explanation *why);

// The next record; those that are optional and not known are passed over. Its body is read by one
// of what follows, before the next.
MUST_CHECK status_t saved_next(struct saved_reader *reader, struct saved_record *record,
                               struct explanation *why);

// The record must be of this type.
MUST_CHECK status_t saved_expect(struct saved_reader *reader, enum saved_type type,
                                 struct saved_record *record, struct explanation *why);

// Its body, of `least` to `most` bytes, with what fills it up.
MUST_CHECK status_t saved_body(struct saved_reader *reader, const struct saved_record *record,
                               void *to, uint32_t least, uint32_t most, struct explanation *why);

// A text of at most SAVED_TEXT - 1 bytes, all of them printable or a line's end, ended by zero.
MUST_CHECK status_t saved_text(struct saved_reader *reader, const struct saved_record *record,
                               char text[SAVED_TEXT], struct explanation *why);

// Pages, to where they belong.
MUST_CHECK status_t saved_pages(struct saved_reader *reader, const struct saved_record *record,
                                const struct gmem *memory, struct explanation *why);

// The body of SAVED_END: whether the sums are those of what was read.
MUST_CHECK status_t saved_finish(struct saved_reader *reader, const struct saved_record *record,
                                 struct explanation *why);
