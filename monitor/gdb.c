// Commands of a session, and the VM's stops and goes. See monitor/gdb.h.

#include "monitor/gdb.h"

#include "lib/span.h"
#include "lib/string.h"

enum { SIGNAL_INTERRUPT = 2, SIGNAL_TRAP = 5, SIGNAL_ABORT = 6 }; // gdb's numbers

// ---- why it stands ----

static void print_stop(struct gdb *gdb, unsigned signal, const char *why)
{
    print_to(&gdb->link.reply, "T%02xthread:%x;%s", signal, gdb->thread + 1, why);
}

// The vCPU has told why it stopped.
static void report(struct gdb *gdb, unsigned thread)
{
    struct debugged *debugged = &gdb->debugger.vcpu[thread];
    enum debug_stop stop = debugged->stop;
    char why[40] = "";
    gdb->thread = thread;
    if (stop == DEBUG_WRITE || stop == DEBUG_ACCESS)
        format_text(why, sizeof(why), "%s:%lx;", stop == DEBUG_WRITE ? "watch" : "awatch",
                    debugged->address);
    else if (gdb->tells_kind && stop != DEBUG_STEPPED)
        format_text(why, sizeof(why), "%s:;", stop == DEBUG_SOFTWARE ? "swbreak" : "hwbreak");
    print_stop(gdb, SIGNAL_TRAP, why);
    debugged->stop = DEBUG_HELD;
}

// The next vCPU of `stops`, a set of BIT(enum debug_stop), or the number of vCPUs.
static unsigned find_stopped(const struct gdb *gdb, uint32_t stops)
{
    unsigned i = 0, count = gdb->debugger.vm->vcpu_count;
    while (i < count && !(stops & BIT32(gdb->debugger.vcpu[i].stop)))
        i++;
    return i;
}

#define BEHIND   (BIT32(DEBUG_STEPPED) | BIT32(DEBUG_WRITE) | BIT32(DEBUG_ACCESS))
#define REPORTED (BEHIND | BIT32(DEBUG_SOFTWARE) | BIT32(DEBUG_HARDWARE))

// ---- the VM ----

static bool is_attached(const struct gdb *gdb)
{
    return gdb->debugger.vm != NULL;
}

// It has ended, or another one stands in its place: nothing of it is touched any more.
static bool has_gone(const struct gdb *gdb)
{
    struct monitor_vm found = gdb->host->vm(gdb->slot);
    return is_attached(gdb) && !debugger_has(&gdb->debugger, found.vm);
}

static void attach(struct gdb *gdb)
{
    struct vm *vm = gdb->host->vm(gdb->slot).vm;
    if (!vm || vm->vcpu[0]->debugged)
        return;
    (void)!gdb->host->pause(vm); // or it stands already
    gdb->host->hold(vm);
    debugger_attach(&gdb->debugger, vm);
    gdb->host->release(vm);
    gdb->thread = 0;
    gdb->is_64 = true;
}

static void stop_vm(struct gdb *gdb)
{
    gdb->is_running = false;
    (void)!gdb->host->pause(gdb->debugger.vm);
}

void gdb_leave(struct gdb *gdb)
{
    struct vm *vm = gdb->debugger.vm;
    gdb->is_running = false;
    if (has_gone(gdb))
        gdb->debugger.vm = NULL;
    if (!is_attached(gdb))
        return;
    gdb->host->hold(vm);
    debugger_detach(&gdb->debugger);
    gdb->host->release(vm);
    (void)!gdb->host->resume(vm);
}

// What came of the VM while it ran. True: the other end is told.
static bool look(struct gdb *gdb)
{
    if (has_gone(gdb)) {
        gdb->debugger.vm = NULL;
        gdb->is_running = false;
        print_to(&gdb->link.reply, "W00");
        return true;
    }
    unsigned thread = find_stopped(gdb, REPORTED);
    if (thread < gdb->debugger.vm->vcpu_count) {
        stop_vm(gdb);
        report(gdb, thread);
        return true;
    }
    if (gdb->host->vm(gdb->slot).state != MONITOR_PRESERVED)
        return false;
    gdb->is_running = false;
    print_stop(gdb, SIGNAL_ABORT, "");
    return true;
}

// ---- going ----

static bool read_go(char letter, enum debug_go *go)
{
    *go = letter == 's' || letter == 'S' ? DEBUG_STEP : DEBUG_RUN;
    return strchr("cCsS", letter) && letter;
}

// What is left of before is told first. A breakpoint that was met is met again, if it is still
// there.
static void go(struct gdb *gdb, const enum debug_go *goes)
{
    struct vm *vm = gdb->debugger.vm;
    unsigned left = find_stopped(gdb, BEHIND);
    if (left < vm->vcpu_count) {
        report(gdb, left);
        return;
    }
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        debugger_go(vm->vcpu[i], goes[i]);
    gdb->then = GDB_GOES;
}

// c and s. Other threads run, too, but while one steps.
static void go_simply(struct gdb *gdb, const char *packet)
{
    enum debug_go goes[VM_VCPUS], what;
    (void)read_go(*packet, &what);
    for (unsigned i = 0; i < VM_VCPUS; i++)
        goes[i] = i == gdb->thread ? what : what == DEBUG_STEP ? DEBUG_WAIT : DEBUG_RUN;
    go(gdb, goes);
}

// vCont;ACTION[:THREAD]...: for each thread the leftmost that names it counts; who is not named
// waits.
static void go_by_thread(struct gdb *gdb, const char *packet)
{
    enum debug_go goes[VM_VCPUS], what;
    uint64_t decided = 0;
    for (unsigned i = 0; i < VM_VCPUS; i++)
        goes[i] = DEBUG_WAIT;
    while (*packet == ';') {
        unsigned thread = 0;
        bool all = true;
        if (!read_go(packet[1], &what)) {
            gdb_say(gdb, false);
            return;
        }
        for (packet += 2; span_digit(*packet) < 16; packet++) // a signal
            ;
        if (*packet == ':' && (packet++, !gdb_thread(gdb, &packet, &thread, &all))) {
            gdb_say(gdb, false);
            return;
        }
        for (unsigned i = all ? 0 : thread; i < (all ? VM_VCPUS : thread + 1); i++)
            if (!(decided & BIT(i)))
                goes[i] = what;
        decided |= all ? UINT64_MAX : BIT(thread);
    }
    go(gdb, goes);
}

// ---- packets ----

static void choose_thread(struct gdb *gdb, const char *packet)
{
    unsigned thread;
    bool all;
    packet += 2; // of which command it is does not count: c and s mean the same one
    bool is_known = gdb_thread(gdb, &packet, &thread, &all);
    if (is_known && !all)
        gdb->thread = thread;
    gdb_say(gdb, is_known);
}

static void ask_thread(struct gdb *gdb, const char *packet)
{
    unsigned thread;
    bool all;
    packet++;
    gdb_say(gdb, gdb_thread(gdb, &packet, &thread, &all));
}

// The first question of a gdb: what another one left is over.
static void begin(struct gdb *gdb)
{
    for (unsigned i = 0; i < gdb->debugger.vm->vcpu_count; i++)
        debugger_go(gdb->debugger.vm->vcpu[i], DEBUG_RUN);
    debugger_remove_all(&gdb->debugger);
    print_stop(gdb, SIGNAL_TRAP, "");
}

static void verbose(struct gdb *gdb, const char *packet)
{
    if (!strcmp(packet, "vCont?")) {
        print_to(&gdb->link.reply, "vCont;c;C;s;S");
    } else if (!strncmp(packet, "vCont;", 6)) {
        go_by_thread(gdb, packet + 5);
    } else if (!strncmp(packet, "vKill;", 6)) {
        gdb_say(gdb, true);
        gdb->then = GDB_KILLS;
    }
}

// Of a VM that is held. An empty reply: nothing that we know.
static void obey(struct gdb *gdb, const char *packet)
{
    switch (packet[0]) {
    case '?':
        begin(gdb);
        break;
    case 'c':
    case 'C':
    case 's':
    case 'S':
        go_simply(gdb, packet);
        break;
    case 'D':
        gdb_say(gdb, true);
        gdb->then = GDB_DETACHES;
        break;
    case 'H':
        if (packet[1])
            choose_thread(gdb, packet);
        break;
    case 'T':
        ask_thread(gdb, packet);
        break;
    case 'k':
        gdb->then = GDB_KILLS;
        break;
    case 'v':
        verbose(gdb, packet);
        break;
    default:
        (void)gdb_command(gdb, packet);
        break;
    }
}

// Without a VM there are questions alone.
static void answer(struct gdb *gdb, const char *packet)
{
    struct vm *vm = gdb->debugger.vm;
    if (!strncmp(packet, "qRcmd,", 6)) {
        gdb_monitor(gdb, packet + 6);
        return;
    }
    if (vm)
        gdb->host->hold(vm);
    if (packet[0] == 'q' || packet[0] == 'Q')
        gdb_query(gdb, packet);
    else if (vm)
        obey(gdb, packet);
    else if (packet[0] != 'v')
        print_to(&gdb->link.reply, packet[0] == '?' ? "W00" : "E01");
    if (vm)
        gdb->host->release(vm);
}

// A command that lets the VM go is answered when it stops.
static void take_packet(struct gdb *gdb)
{
    const char *packet = gdb->link.in;
    if (has_gone(gdb))
        gdb->debugger.vm = NULL;
    if (!is_attached(gdb))
        attach(gdb);
    else if (gdb->is_running)
        stop_vm(gdb);
    gdb->then = GDB_STAYS;
    answer(gdb, packet);
    if (gdb->then != GDB_GOES && packet[0] != 'k')
        gdb_link_send(&gdb->link);
    if (!strcmp(packet, "QStartNoAckMode"))
        gdb->link.acknowledges = false;
    if (gdb->then == GDB_GOES) {
        gdb->is_running = true;
        (void)!gdb->host->resume(gdb->debugger.vm);
    } else if (gdb->then == GDB_DETACHES) {
        gdb_leave(gdb);
    } else if (gdb->then == GDB_KILLS) {
        gdb->host->kill(gdb->slot);
        gdb_leave(gdb);
    }
}

// ---- the session ----

void gdb_init(struct gdb *gdb, const struct monitor_host *host, unsigned slot,
              struct stream_end *end)
{
    memset(gdb, 0, sizeof(*gdb));
    gdb->host = host;
    gdb->slot = slot;
    gdb_link_init(&gdb->link, end);
}

bool gdb_step(struct gdb *gdb)
{
    if (stream_is_at_end(gdb->link.end) || stream_is_unheard(gdb->link.end)) {
        gdb_leave(gdb);
        return false;
    }
    if (!gdb_link_flush(&gdb->link))
        return false;
    if (gdb->is_running && !gdb->link.has_reply && look(gdb))
        gdb_link_send(&gdb->link);
    switch (gdb_link_receive(&gdb->link)) {
    case GDB_NOTHING:
        // The rest comes faster than a line is read beside a guest that runs.
        if (gdb->link.state && !is_attached(gdb))
            attach(gdb);
        return is_attached(gdb) && stream_is_at_end(gdb->link.end); // there is that to do
    case GDB_PACKET_READY:
        take_packet(gdb);
        break;
    case GDB_INTERRUPT:
        if (gdb->is_running && !has_gone(gdb)) {
            stop_vm(gdb);
            print_stop(gdb, SIGNAL_INTERRUPT, "");
            gdb_link_send(&gdb->link);
        }
        break;
    case GDB_GREETING:
        gdb->link.acknowledges = true;
        break;
    }
    return true;
}
