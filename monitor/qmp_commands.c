// QMP's commands: their table, and those that do something. They ask of the host what the text
// monitor's commands ask.

#include "lib/string.h"
#include "monitor/commands.h"
#include "monitor/qmp_command.h"

#define END_BYTES 1024 // what follows a text: its end, and an id

static bool done(struct qmp *qmp)
{
    print_to(&qmp->printer, "{}");
    return false;
}

static bool run_capabilities(struct qmp *qmp)
{
    struct span list, name;
    if (qmp_argument(qmp, "enable", &list) && json_next(&list, NULL, &name))
        return qmp_fail(qmp, QMP_GENERIC, "Capabilities are not available here");
    qmp->is_negotiated = true;
    news_attach(qmp->monitor.host->news(qmp->monitor.slot), &qmp->reader);
    return done(qmp);
}

static bool run_query_commands(struct qmp *qmp)
{
    print_to(&qmp->printer, "%s{\"name\": \"%s\"}", qmp->piece ? ", " : "[",
             qmp_nth(qmp->piece)->name);
    if (qmp_nth(qmp->piece + 1))
        return true;
    print_to(&qmp->printer, "]");
    return false;
}

// ---- the VM's life ----

static bool fail_still(struct qmp *qmp, const struct monitor_vm *found)
{
    if (found->state == MONITOR_STARTING)
        return qmp_fail(qmp, QMP_GENERIC, "The VM is being started");
    if (found->state == MONITOR_PAUSED)
        return qmp_fail(qmp, QMP_GENERIC, "The VM is stopped");
    return qmp_fail(qmp, QMP_GENERIC, "Resetting the Virtual Machine is required");
}

static bool run_stop(struct qmp *qmp)
{
    struct monitor_vm found = qmp_vm(qmp);
    if (found.state == MONITOR_PAUSED ||
        (found.vm && qmp->monitor.host->pause(found.vm) == STATUS_OK))
        return done(qmp);
    return fail_still(qmp, &found);
}

static bool run_cont(struct qmp *qmp)
{
    struct monitor_vm found = qmp_vm(qmp);
    if (found.state == MONITOR_RUNNING ||
        (found.vm && qmp->monitor.host->resume(found.vm) == STATUS_OK))
        return done(qmp);
    return fail_still(qmp, &found);
}

static bool run_powerdown(struct qmp *qmp)
{
    struct monitor_vm found = qmp_vm(qmp);
    if (found.state != MONITOR_RUNNING)
        return fail_still(qmp, &found);
    if (!qmp->monitor.host->power_down(found.vm))
        return qmp_fail(qmp, QMP_GENERIC, "The guest does not listen to its power button");
    return done(qmp);
}

// A VM that has ended starts anew.
static bool run_reset(struct qmp *qmp)
{
    struct explanation why;
    struct monitor_vm found = qmp_vm(qmp);
    if (found.state == MONITOR_STARTING)
        return fail_still(qmp, &found);
    if (found.vm)
        qmp->monitor.host->reset(found.vm);
    else if (qmp->monitor.host->start(qmp->monitor.slot, &why) != STATUS_OK)
        return qmp_fail(qmp, QMP_GENERIC, "%s", why.text);
    return done(qmp);
}

static bool run_quit(struct qmp *qmp)
{
    struct monitor_vm found = qmp_vm(qmp);
    if (found.vm || found.state == MONITOR_STARTING)
        qmp->monitor.host->kill(qmp->monitor.slot);
    return done(qmp);
}

static bool run_nmi(struct qmp *qmp)
{
    struct monitor_vm found = qmp_vm(qmp);
    if (!found.vm)
        return fail_still(qmp, &found);
    commands_send_nmi(found.vm);
    return done(qmp);
}

// ---- what it is given ----

static bool run_balloon(struct qmp *qmp)
{
    struct span value;
    uint64_t bytes = 0;
    struct monitor_vm found = qmp_vm(qmp);
    if (!found.vm)
        return fail_still(qmp, &found);
    if (qmp_argument(qmp, "value", &value))
        (void)json_number(value, &bytes);
    if (!bytes || bytes > found.vm->traits.memory)
        return qmp_fail(qmp, QMP_GENERIC, "Parameter 'value' expects a size up to %lu",
                        found.vm->traits.memory);
    if (!qmp->monitor.host->set_balloon(found.vm, bytes))
        return qmp_fail(qmp, QMP_INACTIVE, "No balloon device has been activated");
    return done(qmp);
}

static bool run_set_link(struct qmp *qmp)
{
    char name[QMP_WORD] = "", card[QMP_WORD];
    struct span value, up;
    unsigned slot = qmp->monitor.slot, count = qmp->monitor.host->cards(slot);
    if (!qmp_argument(qmp, "name", &value) || !qmp_argument(qmp, "up", &up) ||
        !json_string(value, name, sizeof(name)))
        count = 0;
    for (unsigned i = 0; i < count; i++) {
        format_text(card, sizeof(card), "net%u", i);
        if (strcmp(card, name) != 0)
            continue;
        qmp->monitor.host->set_link(slot, i, json_is(up, 't'));
        return done(qmp);
    }
    return qmp_fail(qmp, "DeviceNotFound", "Device '%s' not found", name);
}

// ---- the text monitor ----

// Its text is not made in pieces: what finds no room is cut off, and that is said.
static void put_text(struct printer *printer, const char *text, size_t length)
{
    struct qmp *qmp = CONTAINER_OF(printer, struct qmp, monitor.printer);
    while (length && !qmp->is_cut) {
        uint64_t room = qmp_room(qmp);
        size_t part =
            min_once(length, room > END_BYTES ? (room - END_BYTES) / strlen("\\u0000") : 0);
        json_print_text(&qmp->printer, text, part);
        text += part;
        length -= part;
        qmp->is_cut = part == 0;
    }
}

static bool run_text(struct qmp *qmp)
{
    char line[ARGS_BYTES];
    struct span value;
    uint64_t index = 0;
    if (!qmp_argument(qmp, "command-line", &value) || !json_string(value, line, sizeof(line)))
        return qmp_fail(qmp, QMP_GENERIC, "Parameter 'command-line' is longer than %u bytes",
                        ARGS_BYTES - 1);
    struct vm *vm = qmp_vm(qmp).vm;
    if (qmp_argument(qmp, "cpu-index", &value) &&
        (!json_number(value, &index) || !vm || index >= vm->vcpu_count))
        return qmp_fail(qmp, QMP_GENERIC, "Parameter 'cpu-index' expects a CPU number");
    qmp->monitor.vcpu = (unsigned)index;
    qmp->monitor.printer.write = put_text;
    qmp->is_cut = false;
    print_to(&qmp->printer, "\"");
    commands_run(&qmp->monitor, line);
    print_to(&qmp->printer, qmp->is_cut ? "\\n... (cut: it is too long)\\n\"" : "\"");
    return false;
}

// ---- the table ----

// The first one is what a session begins with.
static const struct qmp_command commands[] = {
    {"qmp_capabilities", RIGHT_OBSERVE, run_capabilities, {{"enable", QMP_LIST, true}}},
    {"balloon", RIGHT_OPERATE, run_balloon, {{"value", QMP_NUMBER, false}}},
    {"cont", RIGHT_OPERATE, run_cont, {{0}}},
    {"human-monitor-command",
     RIGHT_OBSERVE, // its commands have their own
     run_text,
     {{"command-line", QMP_STRING, false}, {"cpu-index", QMP_NUMBER, true}}},
    {"inject-nmi", RIGHT_OPERATE, run_nmi, {{0}}},
    {"query-balloon", RIGHT_OBSERVE, qmp_query_balloon, {{0}}},
    {"query-block", RIGHT_OBSERVE, qmp_query_block, {{0}}},
    {"query-commands", RIGHT_OBSERVE, run_query_commands, {{0}}},
    {"query-cpus-fast", RIGHT_OBSERVE, qmp_query_cpus, {{0}}},
    {"query-kvm", RIGHT_OBSERVE, qmp_query_kvm, {{0}}},
    {"query-memory-size-summary", RIGHT_OBSERVE, qmp_query_memory, {{0}}},
    {"query-name", RIGHT_OBSERVE, qmp_query_name, {{0}}},
    {"query-status", RIGHT_OBSERVE, qmp_query_status, {{0}}},
    {"query-uuid", RIGHT_OBSERVE, qmp_query_uuid, {{0}}},
    {"query-version", RIGHT_OBSERVE, qmp_query_version, {{0}}},
    {"quit", RIGHT_OPERATE, run_quit, {{0}}},
    {"set_link",
     RIGHT_OPERATE,
     run_set_link,
     {{"name", QMP_STRING, false}, {"up", QMP_BOOL, false}}},
    {"stop", RIGHT_OPERATE, run_stop, {{0}}},
    {"system_powerdown", RIGHT_OPERATE, run_powerdown, {{0}}},
    {"system_reset", RIGHT_OPERATE, run_reset, {{0}}},
};

const struct qmp_command *qmp_find(struct span name)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(commands); i++)
        if (json_is_string(name, commands[i].name))
            return &commands[i];
    return NULL;
}

const struct qmp_command *qmp_nth(unsigned index)
{
    return index < ARRAY_LENGTH(commands) ? &commands[index] : NULL;
}
