// `trace on` and `trace off`: which exits of a VM are noted.

#include "lib/string.h"
#include "monitor/commands.h"
#include "monitor/msr_names.h"
#include "vm/exit.h"

static char folded(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c == ' ' || c == '-' ? '_' : c;
}

static bool is_alike(const char *a, const char *b)
{
    while (*a && folded(*a) == folded(*b))
        a++, b++;
    return folded(*a) == folded(*b);
}

static bool find_reason(const char *word, uint32_t *reason)
{
    for (*reason = 0; *reason < EXIT_REASONS; ++*reason)
        if (exit_table[*reason].name && is_alike(word, exit_table[*reason].name))
            return true;
    return false;
}

static bool find_msr(const char *word, uint32_t *msr)
{
    for (unsigned i = 0; i < msr_name_count; i++)
        if (is_alike(word, msr_names[i].name)) {
            *msr = msr_names[i].msr;
            return true;
        }
    return false;
}

// KIND=VALUE: a name or a number.
static const struct {
    const char *prefix;
    enum watch_kind kind;
    uint32_t most;
    bool (*find)(const char *word, uint32_t *value);
    const char *expected;
} kinds[] = {
    {"reason=", WATCH_REASON, EXIT_REASONS - 1, find_reason,
     "a number, or a name of 'info exits' with _ for blanks"},
    {"port=", WATCH_PORT, 0xffff, NULL, "a number to 0xffff"},
    {"msr=", WATCH_MSR, UINT32_MAX, find_msr, "a number, or a name such as IA32_EFER"},
};

static bool add_wanted(struct monitor *monitor, struct watch_filter *filter, const char *word)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(kinds); i++) {
        size_t length = strlen(kinds[i].prefix);
        const char *value = word + length, *at = value;
        uint64_t number = 0;
        if (strncmp(word, kinds[i].prefix, length) != 0)
            continue;
        filter->wanted[filter->count].kind = kinds[i].kind;
        if (args_number(&at, &number) && !*at && number <= kinds[i].most)
            filter->wanted[filter->count++].value = (uint32_t)number;
        else if (kinds[i].find && kinds[i].find(value, &filter->wanted[filter->count].value))
            filter->count++;
        else {
            say(monitor, "%s: %s takes %s\n", word, kinds[i].prefix, kinds[i].expected);
            return false;
        }
        return true;
    }
    say(monitor, "%s: exits are chosen by reason=, port= and msr=\n", word);
    return false;
}

static void begin(struct monitor *monitor, struct vm *vm, const struct watch_filter *filter)
{
    if (monitor->host->watch(vm, filter) != STATUS_OK)
        say(monitor, "no memory to watch all vCPUs of %s\n", vm->traits.name);
    else if (filter)
        say(monitor,
            "each %sexit of %s has a line from now on, at most 50 a second;\n"
            "'info trace' and 'info exits -p -m -g' have more\n",
            filter->count ? "such " : "", vm->traits.name);
}

void command_trace(struct monitor *monitor, const struct args *args)
{
    struct watch_filter filter = {0};
    bool on = strcmp(args->arg[1], "on") == 0;
    unsigned next = 2;
    if (!on && strcmp(args->arg[1], "off") != 0) {
        say(monitor, "trace on [vm] [WHICH ...], or trace off [vm]\n");
        return;
    }
    const char *name = arg_at(args, next);
    if (name && strchr(name, '='))
        name = NULL;
    next += name != NULL;
    struct vm *vm = find_vm(monitor, name).vm;
    if (!vm)
        return;
    for (; next < args->count; next++)
        if (filter.count == WATCH_WANTED || !add_wanted(monitor, &filter, args->arg[next]))
            return;
    begin(monitor, vm, on ? &filter : NULL);
}
