// The list of what was wrong with an input: see notes.h.

#include "lib/notes.h"

#include "lib/print.h"

void notes_init(struct notes *list)
{
    list->count = 0;
    list->left_out = 0;
    list->status = STATUS_OK;
}

// The place for the next line, or NULL if there is none for it.
static struct note *notes_take(struct notes *list, enum severity severity)
{
    if (list->count < NOTES_MAX)
        return &list->notes[list->count++];
    list->left_out++;
    if (severity == SEVERITY_WARNING || list->status != STATUS_OK)
        return NULL;
    return &list->notes[NOTES_MAX - 1];
}

static void notes_add(struct notes *list, enum severity severity, const char *format,
                      va_list arguments) __attribute__((format(printf, 3, 0)));

static void notes_add(struct notes *list, enum severity severity, const char *format,
                      va_list arguments)
{
    struct note *note = notes_take(list, severity);
    if (note == NULL)
        return;
    note->severity = severity;
    format_text_va(note->line.text, sizeof(note->line.text), format, arguments);
}

void notes_warn(struct notes *list, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    notes_add(list, SEVERITY_WARNING, format, arguments);
    va_end(arguments);
}

status_t notes_fail(struct notes *list, status_t status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    notes_add(list, SEVERITY_FATAL, format, arguments);
    va_end(arguments);
    if (list->status == STATUS_OK)
        list->status = status;
    return status;
}

void notes_print(struct printer *to, const char *prefix, const struct notes *list)
{
    for (unsigned i = 0; i < list->count; i++)
        print_to(to, "%s%s\n", prefix, list->notes[i].line.text);
    if (list->left_out)
        print_to(to, "%sand %u more\n", prefix, list->left_out);
}
