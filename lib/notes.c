// The list of what was wrong with an input: see notes.h.

#include "lib/notes.h"

#include "lib/print.h"

void notes_init(struct notes *list)
{
    list->count = 0;
    list->left_out = 0;
    list->status = STATUS_OK;
}

struct explanation *notes_take(struct notes *list, bool is_fatal)
{
    if (list->count < NOTES_MAX)
        return &list->line[list->count++];
    list->left_out++;
    return is_fatal && list->status == STATUS_OK ? &list->line[NOTES_MAX - 1] : NULL;
}

static void add(struct notes *list, bool is_fatal, const char *format, va_list arguments)
{
    struct explanation *line = notes_take(list, is_fatal);
    if (line)
        format_text_va(line->text, sizeof(line->text), format, arguments);
}

void notes_warn(struct notes *list, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(list, false, format, arguments);
    va_end(arguments);
}

status_t notes_fail(struct notes *list, status_t status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(list, true, format, arguments);
    va_end(arguments);
    if (list->status == STATUS_OK)
        list->status = status;
    return status;
}

void notes_print(struct printer *to, const char *prefix, const struct notes *list)
{
    for (unsigned i = 0; i < list->count; i++)
        print_to(to, "%s%s\n", prefix, list->line[i].text);
    if (list->left_out)
        print_to(to, "%sand %u more\n", prefix, list->left_out);
}
