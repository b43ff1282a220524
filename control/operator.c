// Attending to the console: the keyboard's bytes go where the multiplexer says, and output moves
// on.

#include "control/operator.h"

#include "arch/x86_64/tsc.h"
#include "control/agents.h"
#include "control/consoles.h"
#include "control/debugging.h"
#include "control/session.h"
#include "control/shutdown.h"
#include "control/streams.h"
#include "control/tasks.h"
#include "control/monitor_host.h"
#include "control/vms.h"
#include "control/watchdog.h"
#include "drivers/host/console/console.h"
#include "drivers/virt/board.h"
#include "lib/log.h"
#include "monitor/prompt.h"
#include "monitor/size_query.h"
#include "monitor/trace.h"
#include "vmx/vmx.h"

#define POLL_HZ   100  // how often input is looked for
#define DRAIN_HZ  1000 // how often while output is left, or somebody types
#define TYPING_HZ 4    // who has typed nothing for so long has stopped

static struct prompt prompt;
static struct size_query size_query;
static uint64_t
    full_since; // host TSC since when a guest does not read what waits for it; 0: it does

// What a person asked for must be complete: the line is waited for.
static void write_monitor(struct printer *printer, const char *text, size_t length)
{
    consoles_show_log();
    if (!console_can_write(length))
        console_flush();
    mux_write_monitor(&consoles, text, length);
}

static struct printer monitor_output = {write_monitor};

static void act(enum mux_action action, uint8_t byte)
{
    switch (action) {
    case MUX_NOTHING:
    case MUX_INPUT:
        break;
    case MUX_TO_MONITOR:
        prompt_type(&prompt, byte);
        break;
    case MUX_ENTER:
        prompt_enter(&prompt, consoles.last);
        break;
    case MUX_BREAK:
        if (vms_at(consoles.focus) && !board_uart_receive(vms_at(consoles.focus), 0, VUART_BREAK))
            console_write("\a", 1);
        break;
    case MUX_FULL:
        console_write("\a", 1);
        break;
    case MUX_QUIT:
        vms_kill_all();
        break;
    }
}

// The line is left to wait while a guest is slow to read; but one that has not read for a second
// must not keep the operator's keys from us.
static bool may_read(uint64_t now)
{
    if (!mux_is_full(&consoles)) {
        full_since = 0;
        return true;
    }
    if (!full_since)
        full_since = now;
    return now - full_since > host_tsc_hz;
}

static void type(const uint8_t *bytes, unsigned length)
{
    for (unsigned i = 0; i < length; i++)
        act(mux_type(&consoles, bytes[i]), bytes[i]);
}

static void type_unless_answer(uint8_t byte)
{
    uint8_t typed[SIZE_HELD];
    bool is_answered;
    type(typed, size_query_take(&size_query, byte, typed, &is_answered));
    if (is_answered)
        consoles_resize(size_query.columns, size_query.rows);
}

// The terminal is asked for its size whenever a virtio console comes into focus.
static void ask_size(void)
{
    static unsigned before = MUX_NOBODY;
    uint8_t typed[SIZE_HELD];
    type(typed, size_query_attend(&size_query, monitor_host.uptime(), typed));
    unsigned focus = consoles.is_together ? MUX_NOBODY : consoles.focus;
    struct vm *vm = focus < MUX_CHANNELS ? vms_at(focus) : NULL;
    if (focus != before && vm && vm->traits.virtio_console) {
        console_write(SIZE_QUESTION, sizeof(SIZE_QUESTION) - 1);
        size_query_begin(&size_query, monitor_host.uptime());
    }
    before = focus;
}

static void note_overruns(uint64_t now)
{
    static uint32_t told;
    static uint64_t next;
    if (console_overruns() == told || now < next)
        return;
    told = console_overruns();
    next = now + host_tsc_hz;
    log_warning("corbel: what was typed came too fast, and is lost in part\n");
}

// True: something was typed lately, and more may follow as fast as the line is.
static bool take_input(uint64_t now)
{
    static uint64_t lately;
    int byte = 0;
    consoles_give();
    while (may_read(now) && (byte = console_read()) >= 0) {
        type_unless_answer((uint8_t)byte);
        lately = now + host_tsc_hz / TYPING_HZ;
    }
    note_overruns(now);
    ask_size();
    consoles_give();
    return now < lately;
}

// `trace on` of any VM.
static void print_traces(void)
{
    static struct trace_budget budget;
    for (unsigned i = 0; i < vms_described(); i++)
        if (vms_at(i))
            trace_attend(&consoles.printer, vms_at(i), &budget, monitor_host.uptime());
}

static void attend(void)
{
    print_traces();
    vms_attend();
    for (unsigned i = 0; i < vms_described(); i++)
        if (vms_at(i))
            agents_attend(vms_at(i));
    if (mux_poll(&consoles))
        prompt_redraw(&prompt);
    if (vms_have_ended() && sessions_are_over()) {
        vms_print_frames();
        shutdown_machine(vms_end_text());
    }
}

// A busy line has bytes to give and to take soon; all else takes much longer, and can wait.
static uint64_t poll(struct task *task, uint64_t until)
{
    static uint64_t next, again;
    uint64_t now = rdtsc();
    (void)task;
    (void)until;
    bool is_due = now >= next || now < again; // or was woken
    bool more = take_input(now);
    if (is_due) {
        next = now + host_tsc_hz / POLL_HZ;
        attend();
    }
    more = debugging_poll() || more;
    more = consoles_poll() || more;
    more = console_poll(now, host_tsc_hz) || more;
    return again = more ? MIN(next, now + host_tsc_hz / DRAIN_HZ) : next;
}

void operator_init(void)
{
    prompt_init(&prompt, &monitor_host, &monitor_output);
    operator_task = (struct task){
        .run = poll,
        .strand = &control,
        .pinned = SCHED_ANY_CPU,
        .weight = SCHED_WEIGHT_DEFAULT,
        .is_prompt = true,
    };
    task_add(&operator_task);
    streams_init();
    watchdog_init();
    vms_start_tasks();
}
