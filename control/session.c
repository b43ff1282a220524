// The places of sessions, and their memory. It is taken when a guest asks, in that guest's exit,
// and given back by the task once both ends are closed.

#include "control/session.h"

#include "control/vms.h"
#include "drivers/virt/board.h"
#include "mm/tables/frames.h"

#define BYTES_OF_A_VM (4U << 20) // of memory for its sessions

struct task session_task;
struct session *_Atomic sessions[SESSIONS];
static struct spinlock lock;      // guards the taking of places, and the next
static uint64_t held[CONFIG_VMS]; // bytes that VMs have

void session_wake(struct session *session)
{
    session->is_woken = true;
    task_wake(&session_task);
}

static void wake(struct stream_end *end)
{
    session_wake(end->owner);
}

static void release(struct stream *stream)
{
    CONTAINER_OF(stream, struct session, stream)->is_released = true;
    task_wake(&session_task);
}

static struct session *take_memory(unsigned slot, const struct service *service)
{
    uint64_t size = align_up(sizeof(struct session) + service->state, 64);
    size = align_up(size + 2 * service->ring, PAGE_SIZE);
    if (held[slot] + size > BYTES_OF_A_VM)
        return NULL;
    struct session *session = frames_allocate(size, PAGE_SIZE, FRAMES_CORBEL);
    if (!session)
        return NULL;
    memset(session, 0, sizeof(*session) + service->state);
    session->size = size;
    held[slot] += size;
    return session;
}

struct session *session_make(const struct session *wanted)
{
    const struct service *service = wanted->service;
    struct session *session = NULL;
    spin_lock(&lock);
    unsigned place = 0;
    while (place < SESSIONS && sessions[place])
        place++;
    if (place < SESSIONS)
        session = take_memory(wanted->vm, service);
    if (session) {
        uint64_t size = session->size;
        *session = *wanted;
        session->size = size;
        stream_init(&session->stream, (uint8_t *)session + size - 2 * service->ring, service->ring,
                    release);
        stream_own(session_end(session), wake, session);
        sessions[place] = session; // the task sees it from now on
    }
    spin_unlock(&lock);
    return session;
}

void session_forget(unsigned place)
{
    struct session *session = sessions[place];
    spin_lock(&lock);
    sessions[place] = NULL;
    held[session->vm] -= session->size;
    spin_unlock(&lock);
    frames_free(session, session->size, FRAMES_CORBEL);
}

struct virtio_vsock *session_device(unsigned slot)
{
    const struct vm *vm = vms_at(slot);
    struct board *board = vm ? vm->board : NULL;
    return board ? board->vsock : NULL;
}

// ---- looking ----

bool sessions_are_over(void)
{
    for (unsigned i = 0; i < SESSIONS; i++)
        if (sessions[i])
            return false;
    return true;
}

const struct vsock *session_vsock(unsigned slot)
{
    const struct virtio_vsock *device = session_device(slot);
    return device ? device->vsock : NULL;
}

void sessions_print(struct printer *to, unsigned slot)
{
    const struct vsock *vsock = session_vsock(slot);
    if (!vsock)
        return;
    print_to(to, "%s: CID %lu, %u open, %lu ever, %lu refused, %lu broken\n",
             vms_config(slot)->name, vsock->cid, vsock->open, vsock->opened, vsock->refused,
             vsock->broken);
    for (unsigned i = 0; i < SESSIONS; i++) {
        struct session *session = sessions[i];
        if (!session || session->vm != slot)
            continue;
        print_to(to, " \\ port %u, %s%s%s, from %u: sent %lu bytes, received %lu\n", session->port,
                 session->service->name, session->service->is_of_a_vm ? " of " : "",
                 session->service->is_of_a_vm ? vms_config(session->about)->name : "",
                 session->guest_port, session->stream.end[0].given.written,
                 session_end(session)->given.written);
    }
}
