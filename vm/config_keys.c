// The keys of a [vm] section: the table of their names, and what their values may be.

#include "lib/string.h"
#include "vm/config_parser.h"
#include "vm/feature.h"
#include "vm/suggest.h"

#define MEMORY_MIN (UINT64_C(1) << 20)
#define MEMORY_MAX (UINT64_C(1) << 40)

typedef void set_key(struct config_parser *parser, const char *key, struct config_text value);

static void set_cpus(struct config_parser *parser, const char *key, struct config_text value)
{
    config_set_unsigned(parser, key, value, 1, CONFIG_CPUS, &parser->vm->cpus);
}

static void set_memory(struct config_parser *parser, const char *key, struct config_text value)
{
    struct config_text digits = value;
    unsigned shift = 0;
    char unit = value.length ? (char)(value.at[value.length - 1] & ~0x20) : 0;
    if (unit == 'K' || unit == 'M' || unit == 'G') {
        shift = unit == 'K' ? 10 : unit == 'M' ? 20 : 30;
        digits.length--;
    }
    uint64_t number;
    if (!config_parse_number(digits, &number))
        config_error(parser, "%s = %.*s: give a size such as 256M or 2G", key, SHOWN(value));
    else if (!shift)
        config_error(parser, "%s = %.*s: add a unit, K, M or G", key, SHOWN(value));
    else if (number > MEMORY_MAX >> shift || number << shift < MEMORY_MIN)
        config_error(parser, "%s = %.*s: give a size from 1M to 1024G", key, SHOWN(value));
    else if (!is_aligned(number << shift, 4096))
        config_error(parser, "%s = %.*s: give a multiple of 4K", key, SHOWN(value));
    else
        parser->vm->memory = number << shift;
}

static void set_kernel(struct config_parser *parser, const char *key, struct config_text value)
{
    config_set_module_name(parser, key, value, parser->vm->kernel);
}

static void set_initrd(struct config_parser *parser, const char *key, struct config_text value)
{
    config_set_module_name(parser, key, value, parser->vm->initrd);
}

static void set_cmdline(struct config_parser *parser, const char *key, struct config_text value)
{
    config_set_text(parser, key, value, parser->vm->cmdline, CONFIG_CMDLINE);
}

// `modules = NAME COMMAND LINE, NAME, ...`
static void set_modules(struct config_parser *parser, const char *key, struct config_text value)
{
    struct vm_config *vm = parser->vm;
    struct config_text module;
    while (config_split(&value, ',', &module)) {
        if (vm->module_count == CONFIG_MODULES) {
            config_error(parser, "%s lists more than %d modules; remove some", key, CONFIG_MODULES);
            return;
        }
        struct config_module *slot = &vm->module[vm->module_count++];
        struct config_text name = {module.at, 0};
        config_split(&module, ' ', &name);
        config_set_module_name(parser, key, name, slot->name);
        config_set_text(parser, key, config_trim(module), slot->cmdline, sizeof(slot->cmdline));
    }
}

// What follows "flat" in `boot = flat@ADDRESS:MODE`.
static void set_flat(struct config_parser *parser, struct config_text value)
{
    static const struct config_word modes[] = {
        {"real", FLAT_REAL}, {"protected", FLAT_PROTECTED}, {"long", FLAT_LONG}};
    struct config_text rest = value, address;
    int mode;
    config_split(&rest, '@', &address); // drops the word "flat"
    if (!config_split(&rest, ':', &address) || !rest.length ||
        !config_parse_number(address, &parser->vm->flat_address))
        config_error(parser, "boot = %.*s: write flat@ADDRESS:MODE, for example flat@0x100000:long",
                     SHOWN(value));
    else if (config_get_word(parser, "the mode of boot = flat@...", config_trim(rest), modes,
                             ARRAY_LENGTH(modes), &mode)) {
        parser->vm->boot = BOOT_FLAT;
        parser->vm->flat_mode = (enum flat_mode)mode;
    }
}

static void set_boot(struct config_parser *parser, const char *key, struct config_text value)
{
    static const struct config_word words[] = {
        {"auto", BOOT_AUTO},
        {"linux", BOOT_LINUX},
        {"multiboot", BOOT_MULTIBOOT},
        {"multiboot2", BOOT_MULTIBOOT2},
        {"pvh", BOOT_PVH},
        {"sector", BOOT_SECTOR},
        {"flat@ADDRESS:MODE", -1},
    };
    int meaning;
    if (value.length >= 4 && memcmp(value.at, "flat", 4) == 0)
        set_flat(parser, value);
    else if (config_get_word(parser, key, value, words, ARRAY_LENGTH(words), &meaning))
        parser->vm->boot = (enum boot_format)meaning;
}

static void set_on_poweroff(struct config_parser *parser, const char *key, struct config_text value)
{
    config_set_action(parser, key, value, &parser->vm->on_poweroff);
}

static void set_on_reboot(struct config_parser *parser, const char *key, struct config_text value)
{
    config_set_action(parser, key, value, &parser->vm->on_reboot);
}

static void set_on_crash(struct config_parser *parser, const char *key, struct config_text value)
{
    config_set_action(parser, key, value, &parser->vm->on_crash);
}

static void set_weight(struct config_parser *parser, const char *key, struct config_text value)
{
    config_set_unsigned(parser, key, value, 1, 65535, &parser->vm->weight);
}

static void set_cap(struct config_parser *parser, const char *key, struct config_text value)
{
    config_set_unsigned(parser, key, value, 0, CONFIG_CPUS * 100, &parser->vm->cap);
}

// `pin = 0,2-3`: host CPUs.
static void set_pin(struct config_parser *parser, const char *key, struct config_text value)
{
    struct vm_config *vm = parser->vm;
    struct config_text item, low;
    while (config_split(&value, ',', &item)) {
        struct config_text whole = item;
        uint64_t first, last;
        config_split(&item, '-', &low);
        struct config_text high = item.length ? item : low;
        if (!config_parse_number(low, &first) || !config_parse_number(config_trim(high), &last) ||
            first > last || last >= CONFIG_CPUS) {
            config_error(parser, "%s: \"%.*s\" is no list of CPUs; write numbers below %d: 0,2-3",
                         key, SHOWN(whole), CONFIG_CPUS);
            return;
        }
        for (uint64_t cpu = first; cpu <= last; cpu++) {
            if (vm->pin_count == CONFIG_CPUS) {
                config_error(parser, "%s lists more than %d CPUs; remove some", key, CONFIG_CPUS);
                return;
            }
            vm->pin[vm->pin_count++] = (uint8_t)cpu;
        }
    }
    if (!vm->pin_count)
        config_error(parser, "%s is empty; write numbers of CPUs: 0,2-3", key);
}

static void suggest_feature(struct config_parser *parser, const char *key, struct config_text name)
{
    struct suggestion search = suggest_for(name.at, name.length);
    for (unsigned i = 0; i < cpu_feature_count; i++)
        suggest_look(&search, cpu_features[i].name);
    const char *near = suggest_result(&search);
    if (near)
        config_error(parser, "%s: unknown feature \"%.*s\"; did you mean \"%s\"?", key, SHOWN(name),
                     near);
    else
        config_error(parser, "%s: unknown feature \"%.*s\"; use the names of /proc/cpuinfo", key,
                     SHOWN(name));
}

// `cpuid = -x2apic,+pku`
static void set_cpuid(struct config_parser *parser, const char *key, struct config_text value)
{
    struct vm_config *vm = parser->vm;
    struct config_text item;
    while (config_split(&value, ',', &item)) {
        if (item.length < 2 || (item.at[0] != '+' && item.at[0] != '-')) {
            config_error(parser, "%s: write +NAME or -NAME instead of \"%.*s\"", key, SHOWN(item));
            continue;
        }
        struct config_text name = {item.at + 1, item.length - 1};
        unsigned i = 0;
        while (i < cpu_feature_count && !config_text_is(name, cpu_features[i].name))
            i++;
        if (i == cpu_feature_count) {
            suggest_feature(parser, key, name);
        } else if (vm->feature_count == CONFIG_FEATURES) {
            config_error(parser, "%s lists more than %d features; remove some", key,
                         CONFIG_FEATURES);
            return;
        } else {
            vm->feature[vm->feature_count++] =
                (struct config_feature){.index = (uint16_t)i, .enable = item.at[0] == '+'};
        }
    }
}

static void set_msr_unknown(struct config_parser *parser, const char *key, struct config_text value)
{
    static const struct config_word words[] = {{"gp", MSR_UNKNOWN_GP},
                                               {"ignore", MSR_UNKNOWN_IGNORE}};
    int meaning;
    if (config_get_word(parser, key, value, words, ARRAY_LENGTH(words), &meaning))
        parser->vm->msr_unknown = (enum msr_unknown)meaning;
}

static void set_testdev(struct config_parser *parser, const char *key, struct config_text value)
{
    config_set_bool(parser, key, value, &parser->vm->testdev);
}

static void set_uart2(struct config_parser *parser, const char *key, struct config_text value)
{
    config_set_bool(parser, key, value, &parser->vm->uart2);
}

// The look is taken once a second: one alone proves nothing.
static void set_watchdog(struct config_parser *parser, const char *key, struct config_text value)
{
    if (config_text_is(value, "off"))
        parser->vm->watchdog = 0;
    else
        config_set_unsigned(parser, key, value, 2, 86400, &parser->vm->watchdog);
}

static void set_exit_stats(struct config_parser *parser, const char *key, struct config_text value)
{
    static const struct config_word words[] = {
        {"print", EXIT_STATS_PRINT}, {"off", EXIT_STATS_OFF},   {"cpuid", EXIT_STATS_CPUID},
        {"on", EXIT_STATS_PRINT},    {"yes", EXIT_STATS_PRINT}, {"no", EXIT_STATS_OFF},
    };
    int meaning;
    if (config_get_word(parser, key, value, words, ARRAY_LENGTH(words), &meaning))
        parser->vm->exit_stats = (enum exit_stats_mode)meaning;
}

// `stats_leaves = reason_cycles, reason_exits, cycles, exits`: what CPUID shows from 4FFFFFFCH on.
static void set_stats_leaves(struct config_parser *parser, const char *key,
                             struct config_text value)
{
    static const struct config_word words[] = {
        {"none", 0},
        {"exits", STATS_LEAF_EXITS},
        {"cycles", STATS_LEAF_CYCLES},
        {"both", STATS_LEAF_EXITS | STATS_LEAF_CYCLES},
        {"reason_exits", STATS_LEAF_BY_REASON | STATS_LEAF_EXITS},
        {"reason_cycles", STATS_LEAF_BY_REASON | STATS_LEAF_CYCLES},
        {"reason_both", STATS_LEAF_BY_REASON | STATS_LEAF_EXITS | STATS_LEAF_CYCLES},
    };
    struct config_text item;
    int meaning[STATS_LEAVES];
    unsigned count = 0;
    for (; config_split(&value, ',', &item); count++)
        if (count < STATS_LEAVES &&
            !config_get_word(parser, key, item, words, ARRAY_LENGTH(words), &meaning[count]))
            return;
    if (count != STATS_LEAVES) {
        config_error(parser, "%s: name what each of the %d leaves from 4FFFFFFCh on shows", key,
                     STATS_LEAVES);
        return;
    }
    for (unsigned i = 0; i < STATS_LEAVES; i++)
        parser->vm->stats_leaf[i] = (uint8_t)meaning[i];
}

static const struct {
    const char *name;
    set_key *set;
} keys[] = {
    {"cpus", set_cpus},
    {"memory", set_memory},
    {"kernel", set_kernel},
    {"initrd", set_initrd},
    {"cmdline", set_cmdline},
    {"modules", set_modules},
    {"boot", set_boot},
    {"on_poweroff", set_on_poweroff},
    {"on_reboot", set_on_reboot},
    {"on_crash", set_on_crash},
    {"weight", set_weight},
    {"cap", set_cap},
    {"pin", set_pin},
    {"cpuid", set_cpuid},
    {"msr_unknown", set_msr_unknown},
    {"testdev", set_testdev},
    {"uart2", set_uart2},
    {"watchdog", set_watchdog},
    {"exit_stats", set_exit_stats},
    {"stats_leaves", set_stats_leaves},
    {"trap", config_set_trap},
};
_Static_assert(ARRAY_LENGTH(keys) <= 32, "config_parser.keys_seen has a bit for each");

static void suggest_key(struct config_parser *parser, struct config_text key)
{
    struct suggestion search = suggest_for(key.at, key.length);
    for (unsigned i = 0; i < ARRAY_LENGTH(keys); i++)
        suggest_look(&search, keys[i].name);
    const char *near = suggest_result(&search);
    if (near)
        config_error(parser, "unknown key \"%.*s\"; did you mean \"%s\"?", SHOWN(key), near);
    else
        config_error(parser, "unknown key \"%.*s\"; remove the line", SHOWN(key));
}

void config_set_key(struct config_parser *parser, struct config_text key, struct config_text value)
{
    unsigned i = 0;
    while (i < ARRAY_LENGTH(keys) && !config_text_is(key, keys[i].name))
        i++;
    if (i == ARRAY_LENGTH(keys)) {
        suggest_key(parser, key);
    } else if (parser->keys_seen & BIT32(i)) {
        config_error(parser, "%s is set twice in this section; remove one of the lines",
                     keys[i].name);
    } else {
        parser->keys_seen |= BIT32(i);
        keys[i].set(parser, keys[i].name, value);
    }
}
