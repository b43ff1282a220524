// A conversation between a program of a guest's and one of Corbel's services, over a stream. Its
// service is called by a task of the strand `control`, in pieces that never wait.
#pragma once

#include "lib/stream.h"
#include "lib/print.h"
#include "vm/config/config.h"
#include "vmx/task.h"

struct session;
struct virtio_vsock;
struct vsock;

// A row of control/services.c.
struct service {
    const char *name;
    uint32_t port;      // that answers; or, if `is_of_a_vm`, behind which the VMs' ports begin
    bool is_of_a_vm;    // port + the number of a VM is about that one
    bool is_of_all;     // about all VMs: the right is needed over each
    bool is_privileged; // asked for from a port below 1024, which Linux gives to root alone
    enum right needs;   // over that VM, over all, or else over any
    uint32_t ring;      // bytes on their way in each direction, a power of two
    uint32_t state;     // bytes of session->state
    void (*begin)(struct session *session);
    // Does a piece. The host TSC at which it wants to go on (0: at once), or NEVER: when it is
    // woken. It may set is_over.
    uint64_t (*serve)(struct session *session, uint64_t now);
    void (*end)(struct session *session); // or NULL
};

struct session {
    struct stream stream; // end[0] is the guest's
    const struct service *service;
    unsigned vm;    // the slot of who asked
    unsigned about; // ... of whom it is about, if it is about one
    uint32_t port, guest_port;
    uint64_t size;              // bytes of memory, the rings included
    uint8_t rights[CONFIG_VMS]; // enum right, over each slot
    uint64_t again;             // host TSC at which it wants to go on
    bool is_begun, is_over;
    _Atomic bool is_woken;
    _Atomic bool is_released; // both ends are closed
    uint64_t state[];
};

static inline struct stream_end *session_end(struct session *session)
{
    return &session->stream.end[1];
}

// ---- any CPU ----

// Has it go on soon.
void session_wake(struct session *session);

// One as it is asked for (service, VM, rights, ports), in a free place. NULL: there is none, or no
// memory, or its VM has enough of that.
struct session *session_make(const struct session *wanted);

// ---- tasks of the strand `control` ----

#define SESSIONS 512

extern struct session *_Atomic sessions[SESSIONS];
extern struct task session_task; // carries them: control/streams.c

// Gives back the memory of one that is released.
void session_forget(unsigned place);

bool sessions_are_over(void); // there is none

// The socket device of a slot's VM, its connections; NULL: there is none.
struct virtio_vsock *session_device(unsigned slot);
const struct vsock *session_vsock(unsigned slot);

// `info streams`: the connections of a slot's VM.
void sessions_print(struct printer *to, unsigned slot);
