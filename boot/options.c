// The command line's words, each looked up in one table: see options.h.

#include "boot/options.h"
#include "lib/string.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool set_report(struct boot_options *options, struct span value)
{
    options->report = true;
    return true;
}

static bool set_console(struct boot_options *options, struct span value)
{
    static const struct span_word names[] = {{"com1", 0x3f8}, {"com2", 0x2f8}, {"com3", 0x3e8},
                                             {"com4", 0x2e8}, {"none", 0},     {0}};
    int named;
    uint64_t port;
    if (span_means(value, names, &named))
        port = (uint64_t)named;
    else if (!span_is_number(value, &port) || port == 0 || port > 0xfff8) // it takes eight ports
        return false;
    options->console_port = (uint16_t)port;
    return true;
}

static bool set_end(struct boot_options *options, struct span value)
{
    static const struct span_word names[] = {
        {"off", END_OFF}, {"halt", END_HALT}, {"reset", END_RESET}, {"panic", END_PANIC}, {0}};
    int end;
    if (!span_means(value, names, &end))
        return false;
    options->end = (enum boot_end)end;
    return true;
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

static bool set_number(struct span value, unsigned least, unsigned most, unsigned *number)
{
    uint64_t given;
    if (!span_is_number(value, &given) || given < least || given > most)
        return false;
    *number = (unsigned)given;
    return true;
}

static bool set_watchdog(struct boot_options *options, struct span value)
{
    return set_number(value, 2, 3600, &options->watchdog);
}

static bool set_hang(struct boot_options *options, struct span value)
{
    return set_number(value, 0, 0xffff, &options->hang);
}

static bool set_fail_entry(struct boot_options *options, struct span value)
{
    if (value.length == 0 || value.length >= sizeof(options->fail_entry))
        return false;
    memcpy(options->fail_entry, value.at, value.length);
    options->fail_entry[value.length] = '\0';
    return true;
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

static const struct option {
    const char *key;
    bool has_value;
    bool (*set)(struct boot_options *, struct span value);
    const char *expected;
} table[] = {
    {"report", false, set_report, "no value"},
    {"console", true, set_console, "com1 to com4, a port such as 0x3f8, or none"},
    {"end", true, set_end, "off, halt, reset or panic"},
    {"mitigations", true, set_mitigations, "auto, off or force, and perhaps ,nosmt"},
    {"watchdog", true, set_watchdog, "2 to 3600 seconds"},
    {"hang", true, set_hang, "the number of a CPU"},
    {"fail_entry", true, set_fail_entry, "the name of a VM"},
    {"features", true, set_features, "a list such as -vpid,-ept_ad of at most 255 characters"},
};

static void apply_word(struct boot_options *options, struct span word, struct notes *notes)
{
    struct span key = word, value = word;
    span_split(&value, '=', &key);
    bool has_value = key.length < word.length;
    int shown = (int)MIN(word.length, 60U);
    for (size_t i = 0; i < ARRAY_LENGTH(table); i++) {
        if (!span_is(key, table[i].key))
            continue;
        if (has_value != table[i].has_value || !table[i].set(options, value))
            notes_warn(notes, "command line: \"%.*s\" is ignored: %s takes %s", shown, word.at,
                       table[i].key, table[i].expected);
        return;
    }
    notes_warn(notes,
               "command line: \"%.*s\" is ignored: the words are report, console=, end=, "
               "fail_entry=, features=, hang=, mitigations=, watchdog=",
               shown, word.at);
}

void options_parse(struct boot_options *options, const char *cmdline, struct notes *notes)
{
    *options = (struct boot_options){.console_port = 0x3f8, .watchdog = 20, .hang = OPTIONS_NO_CPU};
    for (;;) {
        while (is_blank(*cmdline))
            cmdline++;
        if (*cmdline == '\0')
            return;
        struct span word = {cmdline, 0};
        while (*cmdline != '\0' && !is_blank(*cmdline))
            cmdline++;
        word.length = (size_t)(cmdline - word.at);
        apply_word(options, word, notes);
    }
}
