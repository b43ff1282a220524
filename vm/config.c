// vms.conf as lines: comments, sections, `key = value`. What a key means is in vm/config_keys.c.
// Every problem is reported, not only the first; a section with a problem is left out, the others
// stand.

#include "vm/config.h"

#include "lib/print.h"
#include "lib/string.h"
#include "vm/config_parser.h"
#include "vm/suggest.h"

void config_defaults(struct vm_config *config)
{
    *config = (struct vm_config){
        .cpus = 1,
        .memory = UINT64_C(256) << 20,
        .on_poweroff = ACTION_DESTROY,
        .on_reboot = ACTION_RESTART,
        .on_crash = ACTION_DESTROY,
        .weight = 256,
        .stats_leaf = {STATS_LEAF_BY_REASON | STATS_LEAF_CYCLES,
                       STATS_LEAF_BY_REASON | STATS_LEAF_EXITS, STATS_LEAF_CYCLES,
                       STATS_LEAF_EXITS},
    };
}

void config_error(struct config_parser *parser, const char *format, ...)
{
    parser->broken = true;
    struct config_errors *errors = parser->errors;
    if (errors->count == CONFIG_ERRORS) {
        errors->dropped++;
        return;
    }
    struct explanation *error = &errors->error[errors->count++];
    size_t used = format_text(error->text, sizeof(error->text), "vms.conf:%u: ", parser->line);
    va_list arguments;
    va_start(arguments, format);
    format_text_va(error->text + used, sizeof(error->text) - used, format, arguments);
    va_end(arguments);
    // The line goes to a terminal, and it may quote anything.
    for (char *c = error->text; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
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

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static bool has_character(struct span text, size_t from, char c)
{
    while (from < text.length && text.at[from] != c)
        from++;
    return from < text.length;
}

// Cuts off a comment: '#' or ';' at the start or after a space, outside quotes. A quote that is
// never closed is a plain apostrophe.
static struct span without_comment(struct span text)
{
    char quote = 0;
    for (size_t i = 0; i < text.length; i++) {
        char c = text.at[i];
        if (quote)
            quote = c == quote ? 0 : quote;
        else if ((c == '"' || c == '\'') && has_character(text, i + 1, c))
            quote = c;
        else if ((c == '#' || c == ';') && (i == 0 || is_space(text.at[i - 1])))
            text.length = i;
    }
    return span_trim(text);
}

// Takes the quotes off a value that is quoted as a whole.
static struct span without_quotes(struct config_parser *parser, struct span value)
{
    char quote = value.length ? value.at[0] : 0;
    if (quote != '"' && quote != '\'')
        return value;
    size_t end = 1;
    while (end < value.length && value.at[end] != quote)
        end++;
    if (end == value.length)
        config_error(parser, "the value begins with %c and has no closing one; add it", quote);
    else if (end + 1 < value.length)
        config_error(parser, "text follows the closing %c of the value; quote the whole value",
                     quote);
    return (struct span){value.at + 1, end - 1};
}

static bool is_name_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
}

// The file being read: the VMs that are complete, and the section at hand behind them.
struct file {
    struct config_parser parser;
    struct vm_config *out;
    unsigned capacity;
    unsigned count;
};

// Keeps the section that ends here if nothing was wrong with it.
static void end_section(struct file *file)
{
    if (file->parser.vm && !file->parser.broken)
        file->count++;
    file->parser.vm = NULL;
}

// A name that another section has already, or 0: the line of that section. Broken sections are gone
// from the list.
static unsigned line_of_name(const struct file *file, struct span name)
{
    for (unsigned i = 0; i < file->count; i++)
        if (span_is(name, file->out[i].name))
            return file->out[i].line;
    return 0;
}

static bool name_is_good(struct file *file, struct span name)
{
    struct config_parser *parser = &file->parser;
    if (!name.length) {
        config_error(parser, "the section has no name; write [vm NAME]");
        return false;
    }
    if (name.length >= CONFIG_NAME) {
        config_error(parser, "the name has %zu letters; at most %d are possible", name.length,
                     CONFIG_NAME - 1);
        return false;
    }
    for (size_t i = 0; i < name.length; i++)
        if (!is_name_character(name.at[i])) {
            config_error(parser,
                         "the name \"%.*s\" may have letters, digits, '.', '-' and '_' only",
                         (int)name.length, name.at);
            return false;
        }
    unsigned other = line_of_name(file, name);
    if (other)
        config_error(parser, "a VM \"%.*s\" is on line %u already; choose another name",
                     (int)name.length, name.at, other);
    return !other;
}

static void begin_section(struct file *file, struct span line)
{
    end_section(file);
    struct config_parser *parser = &file->parser;
    parser->broken = false;
    parser->any_section = true;
    parser->keys_seen = 0;
    if (line.at[line.length - 1] != ']') {
        config_error(parser, "the section has no closing ]; write [vm NAME]");
        return;
    }
    struct span inside = span_trim((struct span){line.at + 1, line.length - 2});
    struct span name = inside, kind = {inside.at, 0};
    while (kind.length < inside.length && !is_space(inside.at[kind.length]))
        kind.length++;
    name.at += kind.length;
    name.length -= kind.length;
    name = span_trim(name);
    if (!span_is(kind, "vm")) {
        config_error(parser, "unknown section [%.*s]; write [vm NAME]", (int)MIN(inside.length, 40),
                     inside.at);
        return;
    }
    if (!name_is_good(file, name))
        return;
    if (file->count == file->capacity) {
        config_error(parser, "VM \"%.*s\" is one too many; at most %u are possible",
                     (int)name.length, name.at, file->capacity);
        return;
    }
    parser->vm = &file->out[file->count];
    config_defaults(parser->vm);
    memcpy(parser->vm->name, name.at, name.length);
    parser->vm->line = parser->line;
}

static void parse_line(struct file *file, struct span line)
{
    struct config_parser *parser = &file->parser;
    for (size_t i = 0; i < line.length; i++)
        if (((uint8_t)line.at[i] < ' ' && line.at[i] != '\t') || line.at[i] == 0x7f) {
            config_error(parser, "byte 0x%02x at column %zu; this must be a plain text file",
                         (unsigned)(uint8_t)line.at[i], i + 1);
            return;
        }
    line = without_comment(line);
    if (!line.length)
        return;
    if (line.length > CONFIG_LINE) {
        config_error(parser, "the line has %zu characters; at most %d are possible", line.length,
                     CONFIG_LINE);
        return;
    }
    if (line.at[0] == '[') {
        begin_section(file, line);
        return;
    }
    struct span value = line, key;
    bool has_equals = has_character(line, 0, '=');
    span_split(&value, '=', &key);
    if (!has_equals)
        config_error(parser, "\"%.*s\" is neither [vm NAME] nor key = value",
                     (int)MIN(line.length, 40), line.at);
    else if (!parser->any_section)
        config_error(parser, "\"%.*s\" stands before the first section; begin with [vm NAME]",
                     (int)MIN(key.length, 40), key.at);
    else if (parser->vm)
        config_set_key(parser, key, without_quotes(parser, span_trim(value)));
}

status_t config_parse(const char *text, size_t size, struct vm_config *out, unsigned capacity,
                      unsigned *count, struct config_errors *errors)
{
    errors->count = errors->dropped = 0;
    struct file file = {.parser = {.errors = errors}, .out = out, .capacity = capacity};
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { // a byte order mark
        text += 3;
        size -= 3;
    }
    for (size_t at = 0; at < size;) {
        file.parser.line++;
        size_t end = at;
        while (end < size && text[end] != '\n')
            end++;
        struct span line = {text + at, end - at};
        if (line.length && line.at[line.length - 1] == '\r')
            line.length--;
        parse_line(&file, line);
        at = end + 1;
    }
    end_section(&file);
    *count = file.count;
    if (!file.parser.any_section && !errors->count) {
        file.parser.line = 1;
        config_error(&file.parser, "no VM is described; write [vm NAME] and its keys");
    }
    return errors->count ? STATUS_INVALID : STATUS_OK;
}
