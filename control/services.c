// The table of services, and what leads from sessions to them.

#include "control/services.h"

#include "control/consoles.h"
#include "control/cores.h"
#include "control/monitor_host.h"
#include "control/tasks.h"
#include "control/vms.h"
#include "lib/log.h"
#include "monitor/metrics.h"
#include "monitor/mux_streams.h"
#include "monitor/prompt.h"
#include "monitor/qmp.h"
#include "vmx/vmx.h"

#define LOG_HZ     20 // how often new lines are looked for
#define CONSOLE_HZ 50
#define PIECE      64 // lines, or bytes that are typed

// ---- messages ----

struct log_state {
    uint64_t position;
    size_t length, given; // of the line
    char text[LOG_TEXT];
};

static uint64_t serve_log(struct session *session, uint64_t now)
{
    struct log_state *state = (void *)session->state;
    for (unsigned i = 0; i < PIECE; i++) {
        if (state->given == state->length) {
            state->given = 0;
            state->length = log_read(log_current(), &state->position, LOG_DEBUG, state->text);
        }
        if (!state->length)
            return now + host_tsc_hz / LOG_HZ;
        state->given += stream_give(session_end(session), state->text + state->given,
                                    state->length - state->given);
        if (state->given < state->length)
            return NEVER; // until there is room
    }
    return 0;
}

// ---- consoles ----

struct console_state {
    uint64_t position;
};

static uint64_t serve_console(struct session *session, uint64_t now)
{
    struct console_state *state = (void *)session->state;
    struct stream_end *end = session_end(session);
    const uint8_t *typed = NULL;
    uint8_t *to;
    uint64_t most = stream_piece(end, &typed);
    uint64_t taken = mux_type_into(&consoles, session->about, typed, most);
    stream_took(end, taken);
    if (taken)
        task_wake(&operator_task);
    for (uint64_t part; (part = stream_room(end, &to));) {
        part = mux_read(&consoles, session->about, &state->position, to, part);
        if (!part)
            break;
        stream_gave(end, part);
    }
    return now + host_tsc_hz / CONSOLE_HZ;
}

// ---- the monitor ----

struct monitor_state_of {
    struct prompt prompt;
    struct printer terminal;
    uint64_t lost; // bytes of an answer that found no room
};

static void give_text(struct session *session, const char *text, size_t length)
{
    struct monitor_state_of *state = (void *)session->state;
    state->lost += length - stream_give(session_end(session), text, length);
}

// The other end is a terminal without a driver.
static void write_terminal(struct printer *printer, const char *text, size_t length)
{
    struct monitor_state_of *state = CONTAINER_OF(printer, struct monitor_state_of, terminal);
    struct session *session = CONTAINER_OF((uint64_t *)state, struct session, state);
    for (size_t at = 0, end; at < length; at = end) {
        for (end = at; end < length && text[end] != '\n';)
            end++;
        give_text(session, text + at, end - at);
        if (end < length)
            give_text(session, "\r\n", 2), end++;
    }
}

static void begin_monitor(struct session *session)
{
    struct monitor_state_of *state = (void *)session->state;
    unsigned slot = 0;
    state->terminal.write = write_terminal;
    prompt_init(&state->prompt, &monitor_host, &state->terminal);
    state->prompt.monitor.rights = session->rights;
    while (slot + 1 < CONFIG_VMS && session->rights[slot] == RIGHT_NONE)
        slot++;
    prompt_enter(&state->prompt, slot);
}

static void tell_lost(struct session *session)
{
    struct monitor_state_of *state = (void *)session->state;
    uint64_t lost = state->lost;
    if (!lost || ring_used(&session_end(session)->given))
        return;
    state->lost = 0;
    print_to(&state->terminal, "\n(an answer was too long: %lu bytes of it are lost)\n", lost);
    prompt_redraw(&state->prompt);
}

// An answer has the whole ring.
static uint64_t serve_monitor(struct session *session, uint64_t now)
{
    struct monitor_state_of *state = (void *)session->state;
    struct stream_end *end = session_end(session);
    const uint8_t *byte;
    (void)now;
    tell_lost(session);
    for (unsigned i = 0; i < PIECE && stream_piece(end, &byte); i++) {
        bool is_key = *byte >= ' ';
        if (is_key ? ring_free(&end->given) < end->given.size / 2 : ring_used(&end->given) > 0)
            return NEVER;
        prompt_type(&state->prompt, *byte);
        stream_took(end, 1);
    }
    session->is_over = stream_is_at_end(end) && !state->lost;
    return stream_piece(end, &byte) ? 0 : NEVER;
}

// ---- QMP ----

static void wake_qmp(struct news_reader *reader)
{
    struct qmp *qmp = CONTAINER_OF(reader, struct qmp, reader);
    session_wake(CONTAINER_OF((uint64_t *)qmp, struct session, state));
}

static void begin_qmp(struct session *session)
{
    struct qmp *qmp = (void *)session->state;
    qmp->reader.wake = wake_qmp;
    qmp_begin(qmp, &monitor_host, session->about, (enum right)session->rights[session->about],
              session_end(session));
}

static uint64_t serve_qmp(struct session *session, uint64_t now)
{
    enum qmp_state state = qmp_step((void *)session->state);
    (void)now;
    session->is_over = state == QMP_HAS_ENDED;
    return state == QMP_GOES_ON ? 0 : NEVER;
}

static void end_qmp(struct session *session)
{
    qmp_end((void *)session->state);
}

// ---- metrics ----

static void begin_metrics(struct session *session)
{
    metrics_begin((void *)session->state, &monitor_host, session->rights, session_end(session));
}

static uint64_t serve_metrics(struct session *session, uint64_t now)
{
    enum metrics_result result = metrics_step((void *)session->state);
    (void)now;
    session->is_over = result == METRICS_END;
    return result == METRICS_MORE ? 0 : NEVER;
}

// ---- VMs, whole ----

struct vm_state {
    bool is_wanted;
};

// One that saves itself would stand still and not read.
static void begin_save(struct session *session)
{
    struct vm_state *state = (void *)session->state;
    struct explanation why = {"it cannot read while it stands still"};
    state->is_wanted = session->about != session->vm &&
                       vms_save_to(session->about, session_end(session), &why) == STATUS_OK;
    if (!state->is_wanted)
        log_error("[%s] not saved: %s\n", vms_config(session->about)->name, why.text);
}

static void begin_restore(struct session *session)
{
    struct vm_state *state = (void *)session->state;
    struct explanation why;
    state->is_wanted = vms_restore_from(session->about, session_end(session), &why) == STATUS_OK;
    if (!state->is_wanted)
        log_error("[%s] not restored: %s\n", vms_config(session->about)->name, why.text);
}

static uint64_t serve_vm(struct session *session, uint64_t now)
{
    struct vm_state *state = (void *)session->state;
    session->is_over =
        !state->is_wanted || !vms_stream_goes_on(session->about, session_end(session));
    return now + host_tsc_hz / CONSOLE_HZ;
}

static void end_vm(struct session *session)
{
    vms_stream_forget(session->about, session_end(session));
}

// ---- the table ----

const struct service services[SERVICES] = {
    {.name = "monitor",
     .port = 1,
     .is_privileged = true,
     .needs = RIGHT_OBSERVE,
     .ring = 64 << 10,
     .state = sizeof(struct monitor_state_of),
     .begin = begin_monitor,
     .serve = serve_monitor},
    {.name = "log",
     .port = 2,
     .is_of_all = true,
     .needs = RIGHT_OBSERVE,
     .ring = 4096,
     .state = sizeof(struct log_state),
     .serve = serve_log},
    {.name = "metrics",
     .port = 3,
     .needs = RIGHT_OBSERVE,
     .ring = 8192,
     .state = sizeof(struct metrics),
     .begin = begin_metrics,
     .serve = serve_metrics},
    {.name = "console",
     .port = 1000,
     .is_of_a_vm = true,
     .is_privileged = true,
     .needs = RIGHT_OPERATE,
     .ring = 4096,
     .state = sizeof(struct console_state),
     .serve = serve_console},
    {.name = "QMP",
     .port = 2000,
     .is_of_a_vm = true,
     .is_privileged = true,
     .needs = RIGHT_OBSERVE,
     .ring = 16 << 10,
     .state = sizeof(struct qmp),
     .begin = begin_qmp,
     .serve = serve_qmp,
     .end = end_qmp},
    {.name = "core",
     .port = 3000,
     .is_of_a_vm = true,
     .is_privileged = true,
     .needs = RIGHT_TAKE,
     .ring = 64 << 10,
     .state = sizeof(struct core_state),
     .begin = core_begin,
     .serve = core_serve,
     .end = core_end},
    {.name = "save",
     .port = 4000,
     .is_of_a_vm = true,
     .is_privileged = true,
     .needs = RIGHT_TAKE,
     .ring = 64 << 10,
     .state = sizeof(struct vm_state),
     .begin = begin_save,
     .serve = serve_vm,
     .end = end_vm},
    {.name = "restore",
     .port = 5000,
     .is_of_a_vm = true,
     .is_privileged = true,
     .needs = RIGHT_TAKE,
     .ring = 64 << 10,
     .state = sizeof(struct vm_state),
     .begin = begin_restore,
     .serve = serve_vm,
     .end = end_vm},
};
