// What a session of QMP says: as far as the stream has room, it is given at once.

#include "lib/string.h"
#include "monitor/qmp_command.h"

void qmp_give(struct qmp *qmp)
{
    uint32_t given = (uint32_t)stream_give(qmp->end, qmp->answer, qmp->said);
    qmp->said -= given;
    memmove(qmp->answer, qmp->answer + given, qmp->said);
}

uint64_t qmp_room(const struct qmp *qmp)
{
    uint64_t room = sizeof(qmp->answer) - qmp->said;
    return stream_is_unheard(qmp->end) ? room : room + ring_free(&qmp->end->given);
}

// No piece is longer than the room that there is when it begins.
void qmp_put(struct printer *printer, const char *text, size_t length)
{
    struct qmp *qmp = CONTAINER_OF(printer, struct qmp, printer);
    if (qmp->said + length > sizeof(qmp->answer))
        qmp_give(qmp);
    length = MIN(length, sizeof(qmp->answer) - qmp->said);
    memcpy(qmp->answer + qmp->said, text, length);
    qmp->said += (uint32_t)length;
}

bool qmp_fail(struct qmp *qmp, const char *class, const char *format, ...)
{
    char text[QMP_ANSWER / 8];
    va_list arguments;
    va_start(arguments, format);
    format_text_va(text, sizeof(text), format, arguments);
    va_end(arguments);
    qmp->said = 0;
    print_to(&qmp->printer, "{\"error\": {\"class\": \"%s\", \"desc\": ", class);
    json_print(&qmp->printer, text);
    print_to(&qmp->printer, "}");
    return false;
}

bool qmp_argument(const struct qmp *qmp, const char *name, struct span *value)
{
    return json_member(qmp->arguments, name, value);
}
