// What is wrong with a line of vms.conf, in words; and names that are looked up in tables.

#include "vm/config/config_parser.h"

#include "lib/print.h"
#include "lib/suggest.h"

const struct span_word config_on_off[] = {{"on", 1}, {"off", 0}, {"yes", 1}, {"no", 0}, {0}};

// Every line about vms.conf begins so. Line 0: a VM that is built in.
void config_format(struct explanation *why, unsigned line, const char *name, const char *format,
                   va_list arguments)
{
    size_t used = 0, size = sizeof(why->text);
    if (line)
        used += format_text(why->text, size, "vms.conf:%u: ", line);
    if (name)
        used += format_text(why->text + used, size - used, "VM %s: ", name);
    format_text_va(why->text + used, size - used, format, arguments);
}

void config_error(struct config_parser *parser, const char *format, ...)
{
    parser->broken = true;
    struct explanation *error = notes_take(parser->errors, false);
    if (!error)
        return;
    va_list arguments;
    va_start(arguments, format);
    config_format(error, parser->line, parser->vm ? parser->vm->name : NULL, format, arguments);
    va_end(arguments);
    // The line goes to a terminal, and it may quote anything.
    for (char *c = error->text; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
}

void config_twice(struct config_parser *parser, const char *key)
{
    config_error(parser, "%s is set twice in this section; remove one of the lines", key);
}

static const char *name_at(const struct config_names *names, unsigned row)
{
    return *(const char *const *)((const char *)names->rows + row * names->stride);
}

unsigned config_find(const struct config_names *names, struct span name)
{
    unsigned row = 0;
    while (row < names->count && !span_is(name, name_at(names, row)))
        row++;
    return row;
}

void config_unknown(struct config_parser *parser, const char *what, struct span item,
                    struct span name, const struct config_names *names, const char *remedy)
{
    struct suggestion search = suggest_for(name.at, name.length);
    for (unsigned row = 0; row < names->count; row++)
        suggest_look(&search, name_at(names, row));
    const char *near = suggest_result(&search);
    if (near)
        config_error(parser, "%s \"%.*s\"; did you mean \"%s\"?", what, SHOWN(item), near);
    else
        config_error(parser, "%s \"%.*s\"; %s", what, SHOWN(item), remedy);
}
