// The keys of a [vm] section: the table of their names, and what their values may be.

#include "lib/print.h"
#include "lib/string.h"
#include "vm/config/config_parser.h"
#include "vm/cpu/feature.h"

#define MEMORY_MIN (UINT64_C(1) << 20)
#define MEMORY_MAX (UINT64_C(1) << 40)
#define DISK_MIN   (UINT64_C(64) << 10)

// ---- values: the field of one that does not fit is left alone ----

static void set_unsigned(struct config_parser *parser, const char *key, struct span value,
                         unsigned low, unsigned high, unsigned *field)
{
    uint64_t number;
    if (span_is_number(value, &number) && number >= low && number <= high)
        *field = (unsigned)number;
    else
        config_error(parser, "%s = %.*s: give a number from %u to %u", key, SHOWN(value), low,
                     high);
}

// One of a list of words; the error names them all.
static bool get_word(struct config_parser *parser, const char *key, struct span value,
                     const struct span_word *words, int *meaning)
{
    if (span_means(value, words, meaning))
        return true;
    char list[100] = "";
    size_t used = 0;
    for (; words->text && used < sizeof(list); words++)
        used +=
            format_text(list + used, sizeof(list) - used, "%s%s", used ? ", " : "", words->text);
    config_error(parser, "%s = %.*s: give one of: %s", key, SHOWN(value), list);
    return false;
}

static void set_text(struct config_parser *parser, const char *key, struct span value, char *field,
                     size_t size)
{
    if (value.length >= size) {
        config_error(parser, "%s has %zu characters; at most %zu are possible", key, value.length,
                     size - 1);
        return;
    }
    memcpy(field, value.at, value.length);
    field[value.length] = 0;
}

static void set_module_name(struct config_parser *parser, const char *key, struct span value,
                            char *field)
{
    if (value.length)
        set_text(parser, key, value, field, CONFIG_PATH);
    else
        config_error(parser, "%s is empty; give the name of a boot module or leave the line out",
                     key);
}

// ---- keys ----

struct size_range {
    uint64_t low, high; // bytes
    const char *text;
};

// A size of whole multiples of `unit` bytes, from `low` to `high`; its error names them in words.
static bool get_size(struct config_parser *parser, const char *key, struct span value,
                     const struct size_range *range, uint64_t *size)
{
    struct span digits = value;
    unsigned shift = 0;
    char unit = value.length ? (char)(value.at[value.length - 1] & ~0x20) : 0;
    if (unit == 'K' || unit == 'M' || unit == 'G') {
        shift = unit == 'K' ? 10 : unit == 'M' ? 20 : 30;
        digits.length--;
    }
    uint64_t number;
    if (!span_is_number(digits, &number))
        config_error(parser, "%s = %.*s: give a size such as 256M or 2G", key, SHOWN(value));
    else if (!shift)
        config_error(parser, "%s = %.*s: add a unit, K, M or G", key, SHOWN(value));
    else if (number > range->high >> shift || number << shift < range->low)
        config_error(parser, "%s = %.*s: give a size from %s", key, SHOWN(value), range->text);
    else if (!is_aligned(number << shift, 4096))
        config_error(parser, "%s = %.*s: give a multiple of 4K", key, SHOWN(value));
    else {
        *size = number << shift;
        return true;
    }
    return false;
}

static void set_memory(struct config_parser *parser, const char *key, struct span value)
{
    static const struct size_range range = {MEMORY_MIN, MEMORY_MAX, "1M to 1024G"};
    (void)get_size(parser, key, value, &range, &parser->vm->memory);
}

// `disk = ram:SIZE`, `disk = module:NAME` or `disk = module:NAME,overlay`; one line a disk.
static void set_disk(struct config_parser *parser, const char *key, struct span value)
{
    static const struct size_range range = {DISK_MIN, MEMORY_MAX, "64K to 1024G"};
    struct vm_config *vm = parser->vm;
    struct span rest = value, kind, name;
    if (vm->disk_count == CONFIG_DISKS) {
        config_error(parser, "%s: more than %d disks; remove some", key, CONFIG_DISKS);
        return;
    }
    struct config_disk *disk = &vm->disk[vm->disk_count++];
    *disk = (struct config_disk){.line = parser->line};
    (void)span_split(&rest, ':', &kind);
    rest = span_trim(rest);
    if (span_is(kind, "ram")) {
        (void)get_size(parser, "disk = ram:SIZE", rest, &range, &disk->size);
    } else if (span_is(kind, "module") && span_split(&rest, ',', &name) && name.length) {
        set_module_name(parser, key, name, disk->module);
        disk->overlay = span_is(span_trim(rest), "overlay");
        if (rest.length && !disk->overlay)
            config_error(parser, "%s: \"%.*s\" behind the module's name: write overlay or nothing",
                         key, SHOWN(rest));
    } else {
        config_error(parser, "%s = %.*s: write ram:64M, module:NAME or module:NAME,overlay", key,
                     SHOWN(value));
    }
}

static void set_cmdline(struct config_parser *parser, const char *key, struct span value)
{
    set_text(parser, key, value, parser->vm->cmdline, CONFIG_CMDLINE);
}

// `modules = NAME COMMAND LINE, NAME, ...`
static void set_modules(struct config_parser *parser, const char *key, struct span value)
{
    struct vm_config *vm = parser->vm;
    struct span module;
    while (span_split(&value, ',', &module)) {
        if (vm->module_count == CONFIG_MODULES) {
            config_error(parser, "%s lists more than %d modules; remove some", key, CONFIG_MODULES);
            return;
        }
        struct config_module *slot = &vm->module[vm->module_count++];
        struct span name = {module.at, 0};
        span_split(&module, ' ', &name);
        set_module_name(parser, key, name, slot->name);
        set_text(parser, key, span_trim(module), slot->cmdline, sizeof(slot->cmdline));
    }
}

// What follows "flat" in `boot = flat@ADDRESS:MODE`.
static void set_flat(struct config_parser *parser, struct span value)
{
    static const struct span_word modes[] = {
        {"real", FLAT_REAL}, {"protected", FLAT_PROTECTED}, {"long", FLAT_LONG}, {0}};
    struct span rest = value, address;
    int mode;
    span_split(&rest, '@', &address); // drops the word "flat"
    if (!span_split(&rest, ':', &address) || !rest.length ||
        !span_is_number(address, &parser->vm->flat_address))
        config_error(parser, "boot = %.*s: write flat@ADDRESS:MODE, for example flat@0x100000:long",
                     SHOWN(value));
    else if (get_word(parser, "the mode of boot = flat@...", span_trim(rest), modes, &mode)) {
        parser->vm->boot = BOOT_FLAT;
        parser->vm->flat_mode = (enum flat_mode)mode;
    }
}

static void set_boot(struct config_parser *parser, const char *key, struct span value)
{
    static const struct span_word words[] = {
        {"auto", BOOT_AUTO},
        {"linux", BOOT_LINUX},
        {"multiboot", BOOT_MULTIBOOT},
        {"multiboot2", BOOT_MULTIBOOT2},
        {"pvh", BOOT_PVH},
        {"sector", BOOT_SECTOR},
        {"flat@ADDRESS:MODE", -1},
        {0},
    };
    int meaning;
    if (value.length >= 4 && memcmp(value.at, "flat", 4) == 0)
        set_flat(parser, value);
    else if (get_word(parser, key, value, words, &meaning))
        parser->vm->boot = (enum boot_format)meaning;
}

// `pin = 0,2-3`: host CPUs.
static void set_pin(struct config_parser *parser, const char *key, struct span value)
{
    struct vm_config *vm = parser->vm;
    struct span item, low;
    while (span_split(&value, ',', &item)) {
        struct span whole = item;
        uint64_t first, last;
        span_split(&item, '-', &low);
        struct span high = item.length ? item : low;
        if (!span_is_number(low, &first) || !span_is_number(span_trim(high), &last) ||
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

// `cpuid = -x2apic,+pku`
static void set_cpuid(struct config_parser *parser, const char *key, struct span value)
{
    const struct config_names names = {cpu_features, sizeof(cpu_features[0]), cpu_feature_count};
    struct vm_config *vm = parser->vm;
    struct span item;
    while (span_split(&value, ',', &item)) {
        if (item.length < 2 || (item.at[0] != '+' && item.at[0] != '-')) {
            config_error(parser, "%s: write +NAME or -NAME instead of \"%.*s\"", key, SHOWN(item));
            continue;
        }
        struct span name = {item.at + 1, item.length - 1};
        unsigned i = config_find(&names, name);
        if (i == names.count) {
            config_unknown(parser, "cpuid: unknown feature", name, name, &names,
                           "use the names of /proc/cpuinfo");
        } else if (vm->feature_count == CONFIG_FEATURES) {
            config_error(parser, "%s lists more than %d features; remove some", key,
                         CONFIG_FEATURES);
            return;
        } else {
            vm->feature[vm->feature_count++] =
                (struct feature_switch){.index = (uint16_t)i, .enable = item.at[0] == '+'};
        }
    }
}

// The look is taken once a second: one alone proves nothing.
static void set_watchdog(struct config_parser *parser, const char *key, struct span value)
{
    if (span_is(value, "off"))
        parser->vm->watchdog = 0;
    else
        set_unsigned(parser, key, value, 2, 86400, &parser->vm->watchdog);
}

// `stats_leaves = reason_cycles, reason_exits, cycles, exits`: what CPUID shows from 4FFFFFFCH on.
static void set_stats_leaves(struct config_parser *parser, const char *key, struct span value)
{
    static const struct span_word words[] = {
        {"none", 0},
        {"exits", STATS_LEAF_EXITS},
        {"cycles", STATS_LEAF_CYCLES},
        {"both", STATS_LEAF_EXITS | STATS_LEAF_CYCLES},
        {"reason_exits", STATS_LEAF_BY_REASON | STATS_LEAF_EXITS},
        {"reason_cycles", STATS_LEAF_BY_REASON | STATS_LEAF_CYCLES},
        {"reason_both", STATS_LEAF_BY_REASON | STATS_LEAF_EXITS | STATS_LEAF_CYCLES},
        {0},
    };
    struct span item;
    int meaning[STATS_LEAVES];
    unsigned count = 0;
    for (; span_split(&value, ',', &item); count++)
        if (count < STATS_LEAVES && !get_word(parser, key, item, words, &meaning[count]))
            return;
    if (count != STATS_LEAVES) {
        config_error(parser, "%s: name what each of the %d leaves from 4FFFFFFCh on shows", key,
                     STATS_LEAVES);
        return;
    }
    for (unsigned i = 0; i < STATS_LEAVES; i++)
        parser->vm->traits.stats_leaf[i] = (uint8_t)meaning[i];
}

// Firmware's tables mean "none" by all zeros and all ones.
static void set_uuid(struct config_parser *parser, const char *key, struct span value)
{
    struct uuid uuid;
    if (uuid_parse(value, &uuid) && !uuid_is(&uuid, 0) && !uuid_is(&uuid, 0xff))
        parser->vm->traits.uuid = uuid;
    else
        config_error(parser, "%s = %.*s: write 8-4-4-4-12 hexadecimal digits, as uuidgen does", key,
                     SHOWN(value));
}

static const struct span_word actions[] = {
    {"destroy", ACTION_DESTROY}, {"restart", ACTION_RESTART}, {"preserve", ACTION_PRESERVE}, {0}};
static const struct span_word consoles[] = {{"serial", 0}, {"virtio", 1}, {0}};
static const struct span_word balloons[] = {
    {"yes", BALLOON_ON}, {"no", BALLOON_OFF},  {"autodeflate", BALLOON_AUTODEFLATE},
    {"on", BALLOON_ON},  {"off", BALLOON_OFF}, {0}};
static const struct span_word unknowns[] = {
    {"gp", MSR_UNKNOWN_GP}, {"ignore", MSR_UNKNOWN_IGNORE}, {0}};
static const struct span_word firmwares[] = {
    {"seabios", FIRMWARE_SEABIOS}, {"ovmf", FIRMWARE_OVMF}, {0}};
static const struct span_word stats[] = {{"print", EXIT_STATS_PRINT},
                                         {"off", EXIT_STATS_OFF},
                                         {"cpuid", EXIT_STATS_CPUID},
                                         {"on", EXIT_STATS_PRINT},
                                         {"yes", EXIT_STATS_PRINT},
                                         {"no", EXIT_STATS_OFF},
                                         {0}};

#define FIELD(name)                                                                                \
    .field = offsetof(struct vm_config, name), .size = sizeof(((struct vm_config *)0)->name)

// A key has a function; or its field takes one of some words, a number of a range, or the name of a
// module.
static const struct key {
    const char *name;
    size_t field, size;
    const struct span_word *words;
    unsigned low, high;
    bool is_list; // a line for each
    void (*set)(struct config_parser *parser, const char *key, struct span value);
} keys[] = {
    {"uuid", .set = set_uuid},
    {"cpus", FIELD(cpus), .low = 1, .high = CONFIG_CPUS},
    {"memory", .set = set_memory},
    {"firmware", FIELD(traits.firmware), .words = firmwares},
    {"nvram", FIELD(nvram)},
    {"kernel", FIELD(kernel)},
    {"restore", FIELD(restore)},
    {"initrd", FIELD(initrd)},
    {"cmdline", .set = set_cmdline},
    {"modules", .set = set_modules},
    {"disk", .set = set_disk, .is_list = true},
    {"net", .set = config_set_net, .is_list = true},
    {"vsock", .set = config_set_vsock},
    {"control", .set = config_set_control},
    {"boot", .set = set_boot},
    {"on_poweroff", FIELD(on_poweroff), .words = actions},
    {"on_reboot", FIELD(on_reboot), .words = actions},
    {"on_crash", FIELD(on_crash), .words = actions},
    {"weight", FIELD(weight), .low = 1, .high = 65535},
    {"cap", FIELD(cap), .low = 0, .high = CONFIG_CPUS * 100},
    {"pin", .set = set_pin},
    {"cpuid", .set = set_cpuid},
    {"msr_unknown", FIELD(traits.msr_unknown), .words = unknowns},
    {"testdev", FIELD(traits.testdev), .words = config_on_off},
    {"console", FIELD(traits.virtio_console), .words = consoles},
    {"uart2", FIELD(traits.uart2), .words = config_on_off},
    {"guest_agent", FIELD(traits.guest_agent), .words = config_on_off},
    {"rng", FIELD(traits.rng), .words = config_on_off},
    {"rng_rate", FIELD(traits.rng_rate), .low = 1, .high = 64 << 20},
    {"balloon", FIELD(traits.balloon), .words = balloons},
    {"watchdog", .set = set_watchdog},
    {"exit_stats", FIELD(traits.exit_stats), .words = stats},
    {"stats_leaves", .set = set_stats_leaves},
    {"trap", .set = config_set_trap},
};
_Static_assert(ARRAY_LENGTH(keys) <= CONFIG_KEYS, "vm_config.key_line has a row for each");

static void set(struct config_parser *parser, const struct key *key, struct span value)
{
    void *field = (char *)parser->vm + key->field;
    int meaning;
    if (key->set)
        key->set(parser, key->name, value);
    else if (key->high)
        set_unsigned(parser, key->name, value, key->low, key->high, field);
    else if (!key->words)
        set_module_name(parser, key->name, value, field);
    else if (get_word(parser, key->name, value, key->words, &meaning))
        memcpy(field, &meaning, key->size); // an enum, or a bool
}

// What a VM with firmware boots is on its disks.
void config_check(struct config_parser *parser)
{
    if (parser->vm->nvram[0] && parser->vm->traits.firmware != FIRMWARE_OVMF) {
        parser->line = config_line(parser->vm, "nvram");
        config_error(parser,
                     "nvram: only firmware = ovmf has variables; write that, or remove this "
                     "line");
    }
    static const char *const loaded[] = {"kernel", "initrd", "cmdline", "modules", "boot"};
    for (unsigned i = 0; i < ARRAY_LENGTH(loaded) && parser->vm->traits.firmware; i++) {
        unsigned line = config_line(parser->vm, loaded[i]);
        if (line == parser->vm->line)
            continue;
        parser->line = line;
        config_error(parser,
                     "%s: a VM with firmware boots from its disks; remove this line or "
                     "that of firmware",
                     loaded[i]);
    }
}

unsigned config_line(const struct vm_config *config, const char *key)
{
    for (unsigned i = 0; key && i < ARRAY_LENGTH(keys); i++)
        if (config->key_line[i] && strcmp(keys[i].name, key) == 0)
            return config->key_line[i];
    return config->line;
}

void config_set_key(struct config_parser *parser, struct span key, struct span value)
{
    const struct config_names names = {keys, sizeof(keys[0]), ARRAY_LENGTH(keys)};
    unsigned i = config_find(&names, key);
    if (i == names.count) {
        config_unknown(parser, "unknown key", key, key, &names, "remove the line");
    } else if (parser->vm->key_line[i] && !keys[i].is_list) {
        config_twice(parser, keys[i].name);
    } else {
        parser->vm->key_line[i] = parser->line;
        set(parser, &keys[i], value);
    }
}
