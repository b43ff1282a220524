// A guest asks in its exit: who has no right costs nothing. What is said afterwards is the task's.

#include "control/streams.h"

#include "arch/x86_64/tsc.h"
#include "control/services.h"
#include "control/tasks.h"
#include "control/vms.h"
#include "drivers/virt/virtio/virtio_vsock.h"

#define PRIVILEGED 1024 // ports below are root's, in Linux

static _Atomic uint64_t is_roused; // VMs whose devices have something to send

_Static_assert(CONFIG_VMS <= 64, "a bit for each VM");

// ---- any CPU ----

static void rouse(struct vsock *vsock)
{
    const struct vm *vm = vsock->owner;
    atomic_fetch_or(&is_roused, BIT(vm->id - 1));
    task_wake(&session_task);
}

static const struct service *service_at(uint32_t port, unsigned *about)
{
    *about = 0;
    for (unsigned i = 0; i < SERVICES; i++) {
        const struct service *service = &services[i];
        if (!service->is_of_a_vm && port == service->port)
            return service;
        if (service->is_of_a_vm && port - service->port - 1 < vms_described()) {
            *about = (unsigned)index_below(port - service->port - 1, CONFIG_VMS);
            return service;
        }
    }
    return NULL;
}

// Whether the VM that asks may; and its rights over all.
static bool may_use(struct session *wanted)
{
    const struct service *service = wanted->service;
    unsigned count = 0;
    for (unsigned i = 0; i < vms_described(); i++) {
        enum right right = config_right(vms_config(wanted->vm), vms_config(i)->name);
        wanted->rights[i] = (uint8_t)right;
        count += right >= service->needs;
    }
    return service->is_of_a_vm  ? wanted->rights[wanted->about] >= service->needs
           : service->is_of_all ? count == vms_described()
                                : count > 0;
}

static struct stream_end *asked(struct vsock *vsock, uint32_t port, uint32_t guest_port)
{
    const struct vm *vm = vsock->owner;
    struct session wanted = {.vm = vm->id - 1, .port = port, .guest_port = guest_port};
    const struct service *service = wanted.service = service_at(port, &wanted.about);
    if (!service || (service->is_privileged && guest_port >= PRIVILEGED) || !may_use(&wanted))
        return NULL;
    struct session *session = session_make(&wanted);
    if (!session)
        return NULL;
    task_wake(&session_task);
    return &session->stream.end[0];
}

const struct vsock_host streams_host = {asked, rouse};

// ---- the task ----

static void serve(struct session *session, uint64_t now)
{
    const struct service *service = session->service;
    struct stream_end *end = session_end(session);
    if (!session->is_begun && service->begin)
        service->begin(session);
    session->is_begun = true;
    session->again = service->serve(session, now);
    session->is_over |= stream_is_unheard(end);
    if (!session->is_over)
        return;
    if (service->end)
        service->end(session);
    stream_close(end);
}

// In the place, if there is one. Returns when it wants to go on.
static uint64_t attend(unsigned place, uint64_t now)
{
    struct session *session = sessions[place];
    if (!session)
        return NEVER;
    if (session->is_released) {
        session_forget(place);
        return NEVER;
    }
    if (session->is_over)
        return NEVER;
    if (atomic_exchange(&session->is_woken, false) || session->again <= now)
        serve(session, now);
    return session->is_over ? NEVER : session->again;
}

static void look_at_devices(void)
{
    for (uint64_t left = atomic_exchange(&is_roused, 0); left; left &= left - 1) {
        struct virtio_vsock *device = session_device(lowest_bit(left));
        if (device)
            virtio_vsock_look(device);
    }
}

static uint64_t run(struct task *of, uint64_t until)
{
    static unsigned turn;
    uint64_t now = rdtsc(), next = NEVER;
    (void)of;
    for (unsigned i = 0; i < SESSIONS && next; i++) {
        next = MIN(next, attend(turn, now));
        turn = (turn + 1) % SESSIONS;
        if (sessions[turn] && rdtsc() >= until)
            next = 0; // the others have their turn in the next piece
    }
    look_at_devices();
    return next;
}

void streams_init(void)
{
    session_task = (struct task){
        .run = run,
        .strand = &control,
        .pinned = SCHED_ANY_CPU,
        .weight = SCHED_WEIGHT_DEFAULT,
    };
    task_add(&session_task);
}
