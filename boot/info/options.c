// The command line's words, each looked up in one table: see options.h.

#include "boot/info/options.h"
#include "lib/string.h"

static bool set_report(struct boot_options *options, struct span value)
{
    options->report = true;
    return true;
}

static bool set_overcommit(struct boot_options *options, struct span value)
{
    options->overcommit = true;
    return true;
}

static bool read_port(struct span value, uint16_t *at)
{
    static const struct span_word names[] = {
        {"com1", 0x3f8}, {"com2", 0x2f8}, {"com3", 0x3e8}, {"com4", 0x2e8}, {0}};
    int named;
    uint64_t port;
    if (span_means(value, names, &named))
        port = (uint64_t)named;
    else if (!span_is_number(value, &port) || port == 0 || port > 0xfff8) // it takes eight ports
        return false;
    *at = (uint16_t)port;
    return true;
}

static bool set_console(struct boot_options *options, struct span value)
{
    if (!span_is(value, "none"))
        return read_port(value, &options->console_port);
    options->console_port = 0;
    return true;
}

static bool copy_name(char name[CONFIG_NAME], struct span value)
{
    if (value.length == 0 || value.length >= CONFIG_NAME)
        return false;
    memcpy(name, value.at, value.length);
    name[value.length] = '\0';
    return true;
}

static bool set_stream(struct boot_options *options, struct span value)
{
    struct span port = value, what = value;
    span_split(&value, ':', &port);
    span_split(&value, ':', &what);
    return span_is(what, "gdb") && copy_name(options->stream_vm, value) &&
           read_port(port, &options->stream_port);
}

static bool set_mitigations(struct boot_options *options, struct span value)
{
    static const struct span_word modes[] = {
        {"auto", MITIGATIONS_AUTO}, {"off", MITIGATIONS_OFF}, {"force", MITIGATIONS_FORCE}, {0}};
    struct span mode = value;
    int meaning;
    span_split(&value, ',', &mode);
    bool alone = span_is(value, "nosmt");
    if (!span_means(mode, modes, &meaning) || (value.length && !alone))
        return false;
    options->mitigations = (enum mitigations)meaning;
    options->nosmt = alone;
    return true;
}

static bool set_fail_entry(struct boot_options *options, struct span value)
{
    return copy_name(options->fail_entry, value);
}

static bool set_features(struct boot_options *options, struct span value)
{
    size_t used = strlen(options->features);
    if (value.length == 0 || used + 1 + value.length >= sizeof(options->features))
        return false;
    if (used > 0)
        options->features[used++] = ',';
    memcpy(options->features + used, value.at, value.length);
    options->features[used + value.length] = '\0';
    return true;
}

static const struct span_word ends[] = {
    {"off", END_OFF}, {"halt", END_HALT}, {"reset", END_RESET}, {"panic", END_PANIC}, {0}};

#define FIELD(name) .field = offsetof(struct boot_options, name)

// An option has a function; or its field, an enum or a number, takes one of some words or a number
// of a range.
static const struct option {
    const char *key;
    const char *expected;
    bool has_no_value;
    bool (*set)(struct boot_options *, struct span value);
    size_t field;
    const struct span_word *words;
    unsigned least, most;
} table[] = {
    {"report", "no value", .has_no_value = true, .set = set_report},
    {"loglevel", "error, warning, info or debug", FIELD(log_level), .words = log_level_names},
    {"console", "com1 to com4, a port such as 0x3f8, or none", .set = set_console},
    {"end", "off, halt, reset or panic", FIELD(end), .words = ends},
    {"mitigations", "auto, off or force, and perhaps ,nosmt", .set = set_mitigations},
    {"overcommit", "no value", .has_no_value = true, .set = set_overcommit},
    {"watchdog", "2 to 3600 seconds", FIELD(watchdog), .least = 2, .most = 3600},
    {"hang", "the number of a CPU", FIELD(hang), .most = 0xffff},
    {"fail_entry", "the name of a VM", .set = set_fail_entry},
    {"stream", "com1 to com4 or a port, :gdb: and the name of a VM", .set = set_stream},
    {"features", "a list such as -vpid,-ept_ad of at most 255 characters", .set = set_features},
};

static bool set(struct boot_options *options, const struct option *option, struct span value)
{
    int *field = (int *)((char *)options + option->field);
    uint64_t number;
    if (option->set)
        return option->set(options, value);
    if (option->words)
        return span_means(value, option->words, field);
    if (!span_is_number(value, &number) || number < option->least || number > option->most)
        return false;
    *field = (int)number;
    return true;
}

static void apply_word(struct boot_options *options, struct span word, struct notes *notes)
{
    struct span key = word, value = word;
    span_split(&value, '=', &key);
    bool has_value = key.length < word.length;
    int shown = (int)MIN(word.length, 60U);
    for (size_t i = 0; i < ARRAY_LENGTH(table); i++) {
        if (!span_is(key, table[i].key))
            continue;
        if (has_value == table[i].has_no_value || !set(options, &table[i], value))
            notes_warn(notes, "command line: \"%.*s\" is ignored: %s takes %s", shown, word.at,
                       table[i].key, table[i].expected);
        return;
    }
    notes_warn(notes,
               "command line: \"%.*s\" is ignored: the words are report, console=, end=, "
               "fail_entry=, features=, hang=, loglevel=, mitigations=, overcommit, stream=, "
               "watchdog=",
               shown, word.at);
}

void options_parse(struct boot_options *options, const char *cmdline, struct notes *notes)
{
    *options = (struct boot_options){
        .log_level = LOG_INFO, .console_port = 0x3f8, .watchdog = 20, .hang = OPTIONS_NO_CPU};
    struct span rest = {cmdline, strlen(cmdline)}, word;
    while (span_cut_word(&rest, &word))
        apply_word(options, word, notes);
    if (options->stream_port && options->stream_port == options->console_port) {
        notes_warn(notes, "command line: stream= is ignored: its serial line is the console");
        options->stream_port = 0;
    }
}
