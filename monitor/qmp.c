// A session of QMP: requests come together byte by byte, answers go out as far as there is room.

#include "monitor/qmp.h"

#include "lib/string.h"
#include "monitor/qmp_command.h"

#define HEARD 1024 // bytes of a request in a piece of work

// ---- what is said ----

#define SAY(qmp, ...) print_to(&(qmp)->printer, __VA_ARGS__)

static void say_end(struct qmp *qmp)
{
    if (qmp->id.at) {
        SAY(qmp, ", \"id\": ");
        json_print_value(&qmp->printer, qmp->id);
    }
    SAY(qmp, "}\r\n");
    qmp->command = NULL;
}

// A name that came, as errors tell it.
static const char *word_of(struct span name, char word[QMP_WORD])
{
    return json_string(name, word, QMP_WORD) ? word : "...";
}

static void refuse(struct qmp *qmp, const char *why, const char *name)
{
    qmp_fail(qmp, QMP_GENERIC, why, name);
    say_end(qmp);
}

static void say_event(struct qmp *qmp, const struct news_item *item, uint64_t missed)
{
    uint64_t microseconds = item->time / 1000;
    SAY(qmp, "{\"timestamp\": {\"seconds\": %lu, \"microseconds\": %lu}, ", microseconds / 1000000,
        microseconds % 1000000);
    if (missed) // an extension: QEMU's protocol has names with a domain for these
        SAY(qmp, "\"event\": \"__org.corbel_EVENTS_MISSED\", \"data\": {\"count\": %lu}", missed);
    else
        qmp_print_event(&qmp->printer, item);
    SAY(qmp, "}\r\n");
}

static bool tell_news(struct qmp *qmp)
{
    uint64_t missed;
    struct news_item item;
    struct news *news = qmp->monitor.host->news(qmp->monitor.slot);
    if (!qmp->is_negotiated || !news_read(news, &qmp->reader, &item, &missed))
        return false;
    if (missed)
        say_event(qmp, &item, missed);
    say_event(qmp, &item, 0);
    return true;
}

// ---- what is asked ----

static bool is_of_kind(const struct qmp_argument *argument, struct span value)
{
    uint64_t number;
    switch (argument->kind) {
    case QMP_STRING:
        return json_is(value, '"');
    case QMP_NUMBER:
        return json_number(value, &number);
    case QMP_BOOL:
        return json_is(value, 't') || json_is(value, 'f');
    case QMP_LIST:
        return json_is(value, '[');
    }
    return false;
}

// Whether an object has the members of a list, and no others. False: said why.
static bool has_members(struct qmp *qmp, struct span object, const struct qmp_argument *list,
                        unsigned count)
{
    static const char *const kinds[] = {[QMP_STRING] = "string",
                                        [QMP_NUMBER] = "integer",
                                        [QMP_BOOL] = "boolean",
                                        [QMP_LIST] = "array"};
    char word[QMP_WORD];
    struct span name, value;
    for (struct span rest = object; json_next(&rest, &name, &value);) {
        unsigned i = 0;
        while (i < count && list[i].name && !json_is_string(name, list[i].name))
            i++;
        if (i < count && list[i].name)
            continue;
        return qmp_fail(qmp, QMP_GENERIC, "Parameter '%s' is unexpected", word_of(name, word));
    }
    for (unsigned i = 0; i < count && list[i].name; i++) {
        bool is_there = json_member(object, list[i].name, &value);
        if (!is_there && !list[i].is_optional)
            return qmp_fail(qmp, QMP_GENERIC, "Parameter '%s' is missing", list[i].name);
        if (is_there && !is_of_kind(&list[i], value))
            return qmp_fail(qmp, QMP_GENERIC, "Invalid parameter type for '%s', expected: %s",
                            list[i].name, kinds[list[i].kind]);
    }
    return true;
}

static const char *const rights[] = {[RIGHT_OBSERVE] = "observe the VM",
                                     [RIGHT_OPERATE] = "operate the VM",
                                     [RIGHT_TAKE] = "take the VM out whole"};

// The command of that name, if it may run now. NULL: said why.
static const struct qmp_command *choose(struct qmp *qmp, struct span name)
{
    char word[QMP_WORD];
    const struct qmp_command *command = qmp_find(name), *first = qmp_nth(0);
    if (!qmp->is_negotiated && command != first)
        qmp_fail(qmp, QMP_NOT_FOUND, "Expecting capabilities negotiation with '%s'", first->name);
    else if (qmp->is_negotiated && command == first)
        qmp_fail(qmp, QMP_NOT_FOUND,
                 "Capabilities negotiation is already complete, command ignored");
    else if (!command)
        qmp_fail(qmp, QMP_NOT_FOUND, "The command %s has not been found", word_of(name, word));
    else if (command->needs > qmp->rights[qmp->monitor.slot])
        qmp_fail(qmp, QMP_GENERIC, "The command %s needs the right to %s", command->name,
                 rights[command->needs]);
    else if (has_members(qmp, qmp->arguments, command->argument, QMP_ARGUMENTS))
        return command;
    return NULL;
}

// The command's next piece.
static void run(struct qmp *qmp)
{
    if (qmp->piece == 0)
        SAY(qmp, "{\"return\": ");
    bool more = qmp->command->run(qmp);
    qmp->piece++;
    if (!more)
        say_end(qmp);
}

// ---- requests ----

static bool take_members(struct qmp *qmp, struct span request, struct span *execute)
{
    struct span rest = request, name, value;
    char word[QMP_WORD];
    while (json_next(&rest, &name, &value)) {
        if (json_is_string(name, "execute")) {
            *execute = value;
        } else if (json_is_string(name, "arguments")) {
            qmp->arguments = value;
        } else if (!json_is_string(name, "id")) {
            refuse(qmp, "QMP input member '%s' is unexpected", word_of(name, word));
            return false;
        }
    }
    return true;
}

static void answer(struct qmp *qmp, struct span request)
{
    struct span execute = {0};
    qmp->id = qmp->arguments = (struct span){0};
    if (!json_is_good(request)) {
        refuse(qmp, "Invalid JSON syntax", NULL);
    } else if (!json_is(request, '{')) {
        refuse(qmp, "QMP input must be a JSON object", NULL);
    } else if (json_member(request, "id", &qmp->id) && qmp->id.length > QMP_ID) {
        qmp->id = (struct span){0};
        refuse(qmp, "QMP input member '%s' is too long", "id");
    } else if (!take_members(qmp, request, &execute)) {
        return;
    } else if (!json_is(execute, '"')) {
        refuse(qmp,
               execute.at ? "QMP input member '%s' must be a string"
                          : "QMP input lacks member '%s'",
               "execute");
    } else if (qmp->arguments.at && !json_is(qmp->arguments, '{')) {
        refuse(qmp, "QMP input member '%s' must be an object", "arguments");
    } else {
        qmp->command = choose(qmp, execute);
        qmp->piece = 0;
        if (!qmp->command)
            say_end(qmp);
    }
}

// Reads to the end of a request, or as far as it has come. False: nothing has.
static bool hear(struct qmp *qmp)
{
    const uint8_t *bytes = NULL;
    uint64_t there = min_once(stream_piece(qmp->end, &bytes), HEARD), taken = 0;
    bool ends = false;
    while (taken < there && !ends) {
        char byte = (char)bytes[taken++];
        ends = json_scan(&qmp->scan, byte);
        if (qmp->length < sizeof(qmp->request)) {
            qmp->request[qmp->length++] = byte;
        } else if (!qmp->is_too_long) {
            qmp->is_too_long = true;
            qmp->id = (struct span){0};
            refuse(qmp, "QMP input is longer than 4096 bytes", NULL);
        }
    }
    stream_took(qmp->end, taken);
    if (!ends)
        return taken > 0;
    struct span request = span_trim((struct span){qmp->request, qmp->length});
    if (request.length && !qmp->is_too_long)
        answer(qmp, request);
    qmp->length = 0;
    qmp->is_too_long = false;
    return true;
}

// ---- the session ----

void qmp_begin(struct qmp *qmp, const struct monitor_host *host, unsigned slot, enum right right,
               struct stream_end *end)
{
    void (*wake)(struct news_reader *) = qmp->reader.wake;
    memset(qmp, 0, sizeof(*qmp));
    qmp->end = end;
    qmp->reader.wake = wake;
    qmp->printer.write = qmp_put;
    qmp->rights[slot] = (uint8_t)right;
    qmp->monitor = (struct monitor){.host = host, .slot = slot, .rights = qmp->rights};
    SAY(qmp, "{\"QMP\": {\"version\": ");
    (void)qmp_query_version(qmp);
    SAY(qmp, ", \"capabilities\": []}}\r\n");
}

void qmp_end(struct qmp *qmp)
{
    news_detach(qmp->monitor.host->news(qmp->monitor.slot), &qmp->reader);
}

enum qmp_state qmp_step(struct qmp *qmp)
{
    qmp_give(qmp);
    if (stream_is_unheard(qmp->end))
        return QMP_HAS_ENDED;
    // An answer begins when the client has taken the one before: it has all the room.
    if (qmp->said || (qmp->command && !qmp->piece && ring_used(&qmp->end->given)))
        return QMP_WAITS;
    if (qmp->command)
        run(qmp);
    else if (!tell_news(qmp) && !hear(qmp))
        return stream_is_at_end(qmp->end) ? QMP_HAS_ENDED : QMP_WAITS;
    qmp_give(qmp);
    return QMP_GOES_ON;
}
