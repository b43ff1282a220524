// vms.conf as lines: comments, sections, `key = value`. What a key means is in
// vm/config/config_keys.c. Every problem is reported, not only the first; a section with a problem
// is left out, the others stand.

#include "vm/config/config.h"

#include "lib/string.h"
#include "vm/config/config_parser.h"

void config_defaults(struct vm_config *config)
{
    *config = (struct vm_config){
        .cpus = 1,
        .memory = UINT64_C(256) << 20,
        .on_poweroff = ACTION_DESTROY,
        .on_reboot = ACTION_RESTART,
        .on_crash = ACTION_DESTROY,
        .weight = 256,
        .traits.rng_rate = 64 << 10,
        .traits.stats_leaf = {STATS_LEAF_BY_REASON | STATS_LEAF_CYCLES,
                              STATS_LEAF_BY_REASON | STATS_LEAF_EXITS, STATS_LEAF_CYCLES,
                              STATS_LEAF_EXITS},
    };
}

struct vm_traits config_traits(const struct vm_config *config)
{
    struct vm_traits traits = config->traits;
    traits.name = config->name;
    traits.kernel = config->traits.firmware == FIRMWARE_SEABIOS ? "seabios"
                    : config->traits.firmware == FIRMWARE_OVMF  ? "ovmf"
                                                                : config->kernel;
    traits.memory = config->memory;
    if (uuid_is(&traits.uuid, 0))
        traits.uuid = uuid_of_name(config->name);
    return traits;
}

status_t config_explain(struct explanation *why, status_t status, const struct vm_config *config,
                        const char *key, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (why)
        config_format(why, config_line(config, key), config->name, format, arguments);
    va_end(arguments);
    return status;
}

status_t config_explain_line(struct explanation *why, status_t status,
                             const struct vm_config *config, unsigned line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (why)
        config_format(why, line, config->name, format, arguments);
    va_end(arguments);
    return status;
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
        else if ((c == '#' || c == ';') && (i == 0 || span_is_blank(text.at[i - 1])))
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
    struct config_switches *switches;
    struct vm_config *out;
    unsigned capacity;
    unsigned count;
    bool keeps_broken;
};

// Keeps the section that ends here if nothing was wrong with it. (A switch is kept: else its VMs
// would be wrong, too.)
static void end_section(struct file *file)
{
    unsigned line = file->parser.line;
    if (file->parser.vm)
        config_check(&file->parser);
    file->parser.line = line;
    if (file->parser.vm && (!file->parser.broken || file->keeps_broken))
        file->count++;
    file->parser.vm = NULL;
    file->parser.network = NULL;
}

// A name that another section of the kind has already, or 0: the line of that section. VMs of
// broken sections are gone from the list.
static unsigned line_of_name(const struct file *file, bool is_vm, struct span name)
{
    for (unsigned i = 0; is_vm && i < file->count; i++)
        if (span_is(name, file->out[i].name))
            return file->out[i].line;
    for (unsigned i = 0; !is_vm && i < file->switches->count; i++)
        if (span_is(name, file->switches->at[i].name))
            return file->switches->at[i].line;
    return 0;
}

static bool name_is_good(struct file *file, bool is_vm, struct span name)
{
    struct config_parser *parser = &file->parser;
    const char *kind = is_vm ? "vm" : "switch";
    if (!name.length) {
        config_error(parser, "the section has no name; write [%s NAME]", kind);
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
    unsigned other = line_of_name(file, is_vm, name);
    if (other)
        config_error(parser, "a %s \"%.*s\" is on line %u already; choose another name",
                     is_vm ? "VM" : "switch", (int)name.length, name.at, other);
    return !other;
}

static void begin_switch(struct file *file, struct span name)
{
    struct config_parser *parser = &file->parser;
    if (file->switches->count == CONFIG_SWITCHES) {
        config_error(parser, "switch \"%.*s\" is one too many; at most %u are possible",
                     (int)name.length, name.at, CONFIG_SWITCHES);
        return;
    }
    parser->network = &file->switches->at[file->switches->count++];
    parser->network_keys = 0;
    *parser->network = (struct config_switch){.line = parser->line, .mtu = 1500};
    memcpy(parser->network->name, name.at, name.length);
}

static void begin_vm(struct file *file, struct span name)
{
    struct config_parser *parser = &file->parser;
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

static void begin_section(struct file *file, struct span line)
{
    end_section(file);
    struct config_parser *parser = &file->parser;
    parser->broken = false;
    parser->any_section = true;
    if (line.at[line.length - 1] != ']') {
        config_error(parser, "the section has no closing ]; write [vm NAME]");
        return;
    }
    struct span inside = span_trim((struct span){line.at + 1, line.length - 2});
    struct span name = inside, kind;
    bool has_kind = span_cut_word(&name, &kind), is_vm = has_kind && span_is(kind, "vm");
    if (!is_vm && !(has_kind && span_is(kind, "switch"))) {
        config_error(parser, "unknown section [%.*s]; write [vm NAME] or [switch NAME]",
                     (int)MIN(inside.length, 40), inside.at);
        return;
    }
    parser->any_vm |= is_vm;
    name = span_trim(name);
    if (!name_is_good(file, is_vm, name))
        return;
    if (is_vm)
        begin_vm(file, name);
    else
        begin_switch(file, name);
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
    else if (parser->network)
        config_set_switch_key(parser, key, without_quotes(parser, span_trim(value)));
}

// ---- when all sections are known ----

// A VM without a key has that of its name.
static void check_uuid(struct config_parser *parser, const struct vm_config *vms, unsigned count)
{
    const struct vm_config *vm = parser->vm;
    if (uuid_is(&vm->traits.uuid, 0))
        return;
    parser->line = config_line(vm, "uuid");
    for (const struct vm_config *other = vms; other < vms + count; other++) {
        struct uuid uuid = config_traits(other).uuid;
        bool is_said = !uuid_is(&other->traits.uuid, 0);
        if (other != vm && (other < vm || !is_said) &&
            memcmp(uuid.bytes, vm->traits.uuid.bytes, sizeof(uuid.bytes)) == 0)
            config_error(parser,
                         "uuid: it is that of VM %s, on line %u; choose another or leave it out",
                         other->name, config_line(other, "uuid"));
    }
}

// What of VMs can be judged only now.
static void check_together(struct file *file)
{
    struct config_parser *parser = &file->parser;
    struct vm_config *vms = file->out;
    for (unsigned i = 0; i < file->count;) {
        parser->vm = &vms[i];
        parser->broken = false;
        check_uuid(parser, vms, file->count);
        config_check_cards(parser, vms, i, file->switches);
        config_check_streams(parser, vms, i, file->count);
        if (parser->broken && !file->keeps_broken)
            memmove(&vms[i], &vms[i + 1], (--file->count - i) * sizeof(*vms));
        else
            i++;
    }
    config_choose_macs(vms, file->count);
    config_choose_cids(vms, file->count);
    parser->vm = NULL;
}

status_t config_parse(const char *text, size_t size, struct vm_config *out, unsigned capacity,
                      bool keeps_broken, unsigned *count, struct config_switches *switches,
                      struct notes *errors)
{
    struct file file = {.parser = {.errors = errors},
                        .switches = switches,
                        .out = out,
                        .capacity = capacity,
                        .keeps_broken = keeps_broken};
    notes_init(errors);
    switches->count = 0;
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
    check_together(&file);
    *count = file.count;
    if (!file.parser.any_vm && !errors->count) {
        file.parser.line = 1;
        config_error(&file.parser, "no VM is described; write [vm NAME] and its keys");
    }
    return errors->count ? STATUS_INVALID : STATUS_OK;
}
