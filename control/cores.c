// The VM stands still while its core is read, and goes on afterwards, if it ran before. If it is
// moved on meanwhile, the file ends early.

#include "control/cores.h"

#include "control/monitor_host.h"
#include "monitor/core.h"
#include "vmx/loop.h"

#define PIECES 4 // in a row: the ring of the stream, once or twice

// The VM, if it stands still. NULL: it does not.
static struct vm *still(const struct session *session)
{
    struct monitor_vm found = monitor_host.vm(session->about);
    bool is_still = found.state == MONITOR_PAUSED || found.state == MONITOR_PRESERVED;
    return is_still ? found.vm : NULL;
}

void core_begin(struct session *session)
{
    struct core_state *state = (void *)session->state;
    struct monitor_vm found = monitor_host.vm(session->about);
    bool is_own = session->about == session->vm; // who stands still does not read
    state->was_running = !is_own && found.vm && monitor_host.pause(found.vm) == STATUS_OK;
    struct vm *vm = still(session);
    if (!vm)
        return;
    monitor_host.hold(vm); // its vCPUs' state stays as it is while they do not run
    monitor_host.release(vm);
}

uint64_t core_serve(struct session *session, uint64_t now)
{
    struct core_state *state = (void *)session->state;
    struct stream_end *end = session_end(session);
    struct vm *vm = still(session);
    uint8_t *to;
    (void)now;
    session->is_over = !vm || stream_is_unheard(end);
    for (unsigned i = 0; i < PIECES && !session->is_over; i++) {
        uint64_t room = stream_room(end, &to);
        if (!room)
            return NEVER;
        uint64_t length = core_read(vm, state->at, to, room);
        stream_gave(end, length);
        state->at += length;
        session->is_over = length == 0;
    }
    return 0;
}

void core_end(struct session *session)
{
    struct core_state *state = (void *)session->state;
    struct vm *vm = still(session);
    if (vm && state->was_running)
        (void)monitor_host.resume(vm);
}
