// Attending to the console between slices: the keyboard's bytes go where the multiplexer says, and
// output moves on.

#include "boot/operator.h"

#include "arch/x86_64/machine_check.h"
#include "arch/x86_64/tsc.h"
#include "boot/consoles.h"
#include "boot/host_watch.h"
#include "boot/machine.h"
#include "boot/monitor_host.h"
#include "boot/uart2.h"
#include "boot/vms.h"
#include "boot/watchdog.h"
#include "drivers/host/console.h"
#include "drivers/virt/board.h"
#include "monitor/monitor.h"
#include "monitor/trace.h"
#include "vm/bus.h"
#include "vmx/loop.h"

#define POLL_HZ   100  // how often input is looked for
#define DRAIN_HZ  1000 // how often while output is left, or somebody types
#define TYPING_HZ 4    // who has typed nothing for so long has stopped

static unsigned hanging; // this CPU hangs, if there is such a one
static struct monitor monitor;
static uint64_t
    full_since; // host TSC since when a guest does not read what waits for it; 0: it does

// What a person asked for must be complete: the line is waited for.
static void write_monitor(struct printer *printer, const char *text, size_t length)
{
    if (!console_has_room(length))
        console_flush();
    mux_write_monitor(&consoles, text, length);
}

static struct printer monitor_output = {write_monitor};

// Bytes wait here until their guests have room for them.
static void give_to_guests(void)
{
    for (unsigned slot = 0; slot < vms_slots(); slot++) {
        struct vm *vm = vms_at(slot);
        for (int byte; (byte = mux_peek(&consoles, slot)) >= 0; mux_take(&consoles, slot))
            if (vm && !board_uart_receive(vm, 0, (uint8_t)byte))
                break;
    }
}

static void act(enum mux_action action, uint8_t byte)
{
    switch (action) {
    case MUX_NOTHING:
    case MUX_INPUT:
        break;
    case MUX_TO_MONITOR:
        monitor_type(&monitor, byte);
        break;
    case MUX_ENTER:
        monitor_enter(&monitor, consoles.last);
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

static void note_overruns(uint64_t now)
{
    static uint32_t told;
    static uint64_t next;
    if (console_overruns() == told || now < next)
        return;
    told = console_overruns();
    next = now + host_tsc_hz;
    tell("corbel: what was typed came too fast, and is lost in part\n");
}

// True: something was typed lately, and more may follow as fast as the line is.
static bool take_input(uint64_t now)
{
    static uint64_t lately;
    int byte = 0;
    give_to_guests();
    while (may_read(now) && (byte = console_read()) >= 0) {
        act(mux_type(&consoles, (uint8_t)byte), (uint8_t)byte);
        lately = now + host_tsc_hz / TYPING_HZ;
    }
    note_overruns(now);
    give_to_guests();
    return now < lately;
}

// `trace on` of any VM.
static void print_traces(void)
{
    static struct trace_budget budget;
    for (unsigned slot = 0; slot < vms_slots(); slot++)
        if (vms_at(slot))
            trace_attend(&consoles.printer, vms_at(slot), &budget, monitor_host.uptime());
}

// `hang=`: what the watchdog is for.
__attribute__((noreturn)) static void hang(void)
{
    for (;;)
        __asm__ volatile("hlt");
}

static void attend(uint64_t now)
{
    print_traces();
    vms_attend();
    watchdog_attend(now);
    if (mux_poll(&consoles))
        monitor_redraw(&monitor);
    if (console_takes_guests(1))
        vms_console_room();
    if (vms_count() == 0) {
        vms_tell_frames();
        machine_finish(vms_end_text());
    }
}

// A busy line has bytes to give and to take soon; all else takes much longer, and can wait.
static uint64_t poll(unsigned cpu, bool is_asked)
{
    static uint64_t next;
    uint64_t now = rdtsc(), next_watch = host_watch(cpu);
    uint64_t next_banks = machine_check_poll(now, host_tsc_hz);
    if (cpu == hanging)
        hang();
    if (cpu != 0)
        return MIN(next_watch, next_banks);
    bool more = take_input(now);
    if (is_asked || now >= next) {
        next = now + host_tsc_hz / POLL_HZ;
        attend(now);
    }
    more = console_poll(now, host_tsc_hz) || more;
    more = uart2_poll() || more;
    return more ? MIN(next, now + host_tsc_hz / DRAIN_HZ) : next;
}

static const struct loop_hooks hooks = {.poll = poll, .work = vms_work, .vm_stopped = vms_stopped};

status_t operator_init(unsigned hang)
{
    hanging = hang;
    monitor_init(&monitor, &monitor_host, &monitor_output);
    return loop_init(&hooks);
}
