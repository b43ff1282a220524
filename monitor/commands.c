// The tables of commands, and finding one: by its name, or what the person may have meant.

#include "monitor/commands.h"

#include "lib/string.h"
#include "vm/suggest.h"

static command_function command_help, command_info;

// Help texts are at most 47 characters a line: beside their commands they fit 80 columns.
static const struct command command_rows[] = {
    {"console", "[vm]", "go to a VM's console (Ctrl-A and its digit, too)", command_console,
     COMPLETES_VM, 0, 1, ""},
    {"cont", "[vm]", "let a stopped VM go on", command_cont, COMPLETES_VM, 0, 1, ""},
    {"cpu", "[index]", "the vCPU whose registers and memory are meant", command_cpu,
     COMPLETES_NOTHING, 0, 1, ""},
    {"help", "[command]", "this list", command_help, COMPLETES_COMMAND, 0, 2, ""},
    {"info", "what [...]", "show something: 'info' alone lists what", command_info, COMPLETES_INFO,
     0, WORDS_MAX, NULL},
    {"kill", "vm", "end a VM at once", command_kill, COMPLETES_VM, 1, 1, ""},
    {"log", "", "Corbel's own messages again", command_log, COMPLETES_NOTHING, 0, 0, ""},
    {"nmi", "[vm]", "send an NMI to all vCPUs of a VM", command_nmi, COMPLETES_VM, 0, 1, ""},
    {"quit", "", "end all VMs and switch the machine off", command_quit, COMPLETES_NOTHING, 0, 0,
     ""},
    {"start", "vm", "start a VM that has ended", command_start, COMPLETES_VM, 1, 1, ""},
    {"stop", "[vm]", "let a VM stand still, its time with it", command_stop, COMPLETES_VM, 0, 1,
     ""},
    {"system_powerdown", "[vm]", "press a VM's power button", command_system_powerdown,
     COMPLETES_VM, 0, 1, ""},
    {"system_reset", "[vm]", "start a VM anew at once", command_system_reset, COMPLETES_VM, 0, 1,
     ""},
    {"trace", "on|off [vm]",
     "a line in the log for each exit of a VM, at\n"
     "most 50 a second; 'info trace' has more",
     command_trace, COMPLETES_ON_OFF, 1, 2, ""},
    {"x", "[/COUNT FORMAT SIZE] address",
     "guest memory at a linear address: x/8xg $rsp;\n"
     "formats x d u o c s, sizes b h w g",
     command_x, COMPLETES_NOTHING, 1, 2, ""},
    {"xp", "[/COUNT FORMAT SIZE] address", "the same at a guest-physical address", command_xp,
     COMPLETES_NOTHING, 1, 2, ""},
};

static const struct command info_rows[] = {
    {"capabilities", "", "what VMX can do here and what Corbel uses", info_capabilities,
     COMPLETES_NOTHING, 0, 0, ""},
    {"cpus", "[vm]", "vCPUs: state, place, instruction pointer", info_cpus, COMPLETES_VM, 0, 1, ""},
    {"exits", "[-c|-j] [-hpmg] [vm]",
     "exits by reason; -h histograms; -p ports, -m\n"
     "MSRs, -g pages ('trace on' counts them);\n"
     "-c as CSV, -j as JSON lines",
     info_exits, COMPLETES_VM, 0, 1, "cjhpmg"},
    {"irq", "[vm]", "interrupt controllers", info_irq, COMPLETES_VM, 0, 1, ""},
    {"mem", "", "memory: the machine's and the VMs'", info_mem, COMPLETES_NOTHING, 0, 0, ""},
    {"registers", "[-a] [vm]", "registers of the chosen vCPU; -a: of all", info_registers,
     COMPLETES_VM, 0, 1, "a"},
    {"sched", "", "CPUs, and what the scheduler gave each vCPU", info_sched, COMPLETES_NOTHING, 0,
     0, ""},
    {"trace", "[-a] [vm]",
     "the last exits of each vCPU, while 'trace on';\n"
     "-a: all that are kept",
     info_trace, COMPLETES_VM, 0, 1, "a"},
    {"version", "", "what this is", info_version, COMPLETES_NOTHING, 0, 0, ""},
    {"vms", "", "all VMs and their states", info_vms, COMPLETES_NOTHING, 0, 0, ""},
};

// What the fingers know from QEMU, xl and virsh.
static const struct {
    const char *name, *here;
} elsewhere[] = {
    {"c", "cont"},
    {"continue", "cont"},
    {"create", "start"},
    {"destroy", "kill"},
    {"dmesg", "log"},
    {"dominfo", "info vms"},
    {"exit", "console"},
    {"inject-nmi", "nmi"},
    {"list", "info vms"},
    {"pause", "stop"},
    {"poweroff", "quit"},
    {"q", "quit"},
    {"reboot", "system_reset"},
    {"reset", "system_reset"},
    {"resume", "cont"},
    {"shutdown", "system_powerdown"},
    {"status", "info vms"},
    {"suspend", "stop"},
    {"top", "info sched"},
    {"unpause", "cont"},
    {"vcpu-list", "info cpus"},
    {"vcpuinfo", "info cpus"},
};

static const struct table {
    const struct command *rows;
    size_t count;
    const char *prefix; // of the names
} commands = {command_rows, ARRAY_LENGTH(command_rows), ""},
  infos = {info_rows, ARRAY_LENGTH(info_rows), "info "};

void say(struct monitor *monitor, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_to_va(&monitor->printer, format, arguments);
    va_end(arguments);
}

// ---- VMs ----

unsigned find_slot(struct monitor *monitor, const char *word)
{
    const struct monitor_host *host = monitor->host;
    const char *at = word;
    uint64_t number;
    if (!word)
        return monitor->slot;
    struct suggestion search = suggest_for(word, strlen(word));
    for (unsigned slot = 0; slot < CONFIG_VMS; slot++) {
        struct monitor_vm vm = host->vm(slot);
        if (vm.state == MONITOR_NO_VM)
            continue;
        if (strcmp(vm.name, word) == 0)
            return slot;
        suggest_look(&search, vm.name);
    }
    if (words_number(&at, &number) && !*at && number >= 1 && number <= CONFIG_VMS &&
        host->vm((unsigned)number - 1).state != MONITOR_NO_VM)
        return (unsigned)number - 1;
    const char *near = suggest_result(&search);
    if (near)
        say(monitor, "%s: there is no such VM; did you mean %s?\n", word, near);
    else
        say(monitor, "%s: there is no such VM; 'info vms' lists them\n", word);
    return CONFIG_VMS;
}

struct monitor_vm find_vm(struct monitor *monitor, const char *word)
{
    unsigned slot = find_slot(monitor, word);
    if (slot == CONFIG_VMS)
        return (struct monitor_vm){.vm = NULL};
    struct monitor_vm found = monitor->host->vm(slot);
    found.is_chosen = slot == monitor->slot;
    if (found.state == MONITOR_STARTING)
        say(monitor, "%s is being started\n", found.name);
    else if (!found.vm)
        say(monitor, "%s has ended; 'start %s' starts it again\n", found.name, found.name);
    return found;
}

// ---- finding and running ----

static const struct command *find(const struct table *table, const char *name)
{
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->rows[i].name, name) == 0)
            return &table->rows[i];
    return NULL;
}

// What the word is called here, if it is one of another tool's, or has its `info` left out.
static bool say_elsewhere(struct monitor *monitor, const char *word)
{
    for (size_t i = 0; i < ARRAY_LENGTH(elsewhere); i++)
        if (strcmp(elsewhere[i].name, word) == 0) {
            say(monitor, "%s: here it is '%s'\n", word, elsewhere[i].here);
            return true;
        }
    if (!find(&infos, word))
        return false;
    say(monitor, "%s: here it is 'info %s'\n", word, word);
    return true;
}

static void say_unknown(struct monitor *monitor, const struct table *table, const char *word)
{
    const char *prefix = table->prefix;
    if (say_elsewhere(monitor, word))
        return;
    struct suggestion search = suggest_for(word, strlen(word));
    for (size_t i = 0; i < table->count; i++)
        suggest_look(&search, table->rows[i].name);
    const char *near = suggest_result(&search);
    if (near)
        say(monitor, "%s%s: there is no such command; did you mean %s%s?\n", prefix, word, prefix,
            near);
    else
        say(monitor, "%s%s: there is no such command; '%s' lists them\n", prefix, word,
            *prefix ? "info" : "help");
}

// Options that the command has not are refused. NULL stands for any.
static char wrong_option(const struct command *command, const struct words *words)
{
    for (char letter = 'a'; letter <= 'z' && command->options; letter++)
        if (words_have(words, letter) && !strchr(command->options, letter))
            return letter;
    return 0;
}

// Runs the command of that name with the words behind it.
static void run(struct monitor *monitor, const struct table *table, const char *name,
                const struct words *words)
{
    const struct command *command = find(table, name);
    unsigned given = words->count - 1;
    if (!command) {
        say_unknown(monitor, table, name);
        return;
    }
    char option = wrong_option(command, words);
    if (option)
        say(monitor, "%s%s has no option -%c: ", table->prefix, name, option);
    else if (given < command->least)
        say(monitor, "%s%s needs more: ", table->prefix, name);
    else if (given > command->most)
        say(monitor, "%s: one word too many: ", words->word[command->most + 1]);
    else {
        command->run(monitor, words);
        return;
    }
    say(monitor, "%s%s %s\n", table->prefix, name, command->arguments);
}

static void print_help(struct monitor *monitor, const char *prefix, const struct command *command)
{
    char usage[64];
    format_text(usage, sizeof(usage), "%s%s %s", prefix, command->name, command->arguments);
    const char *line = command->help;
    for (const char *end; (end = strchr(line, '\n')); line = end + 1, usage[0] = 0)
        say(monitor, "%-31s %.*s\n", usage, (int)(end - line), line);
    say(monitor, "%-31s %s\n", usage, line);
}

static void list(struct monitor *monitor, const struct table *table)
{
    for (size_t i = 0; i < table->count; i++)
        print_help(monitor, table->prefix, &table->rows[i]);
}

static void command_info(struct monitor *monitor, const struct words *words)
{
    if (words->count < 2) {
        list(monitor, &infos);
        return;
    }
    struct words rest = {.count = words->count - 1, .options = words->options};
    memcpy(rest.word, words->word + 1, rest.count * sizeof(rest.word[0]));
    run(monitor, &infos, rest.word[0], &rest);
}

static void command_help(struct monitor *monitor, const struct words *words)
{
    const char *name = word_at(words, 1), *what = word_at(words, 2);
    const struct command *command = name ? find(&commands, name) : NULL;
    if (!name) {
        list(monitor, &commands);
    } else if (!command) {
        say_unknown(monitor, &commands, name);
    } else if (command->completes == COMPLETES_INFO) {
        const struct command *info = what ? find(&infos, what) : NULL;
        if (info)
            print_help(monitor, infos.prefix, info);
        else
            list(monitor, &infos);
    } else {
        print_help(monitor, "", command);
    }
}

void commands_run(struct monitor *monitor, const char *line)
{
    struct words words;
    enum words_result result = words_split(&words, line);
    if (result == WORDS_TOO_MANY)
        say(monitor, "more than %u words: no command has so many\n", WORDS_MAX);
    else if (result == WORDS_BAD_OPTION)
        say(monitor, "an option is a '-' and a letter from a to z\n");
    else if (words.count > 0)
        run(monitor, &commands, strcmp(words.word[0], "?") == 0 ? "help" : words.word[0], &words);
}

// ---- completion ----

static const char *nth_vm(struct monitor *monitor, unsigned index)
{
    for (unsigned slot = 0; slot < CONFIG_VMS; slot++) {
        struct monitor_vm vm = monitor->host->vm(slot);
        if (vm.state != MONITOR_NO_VM && index-- == 0)
            return vm.name;
    }
    return NULL;
}

static const char *nth_name(const struct table *table, unsigned index)
{
    return index < table->count ? table->rows[index].name : NULL;
}

const char *commands_candidate(struct monitor *monitor, const char *before, size_t length,
                               unsigned index)
{
    static const char *const on_off[] = {"on", "off"};
    char line[LINE_BYTES];
    struct words words;
    memcpy(line, before, length);
    while (length > 0 && line[length - 1] != ' ') // what is being typed does not count
        length--;
    line[length] = 0;
    if (words_split(&words, line) != WORDS_OK)
        return NULL;
    if (words.count == 0)
        return nth_name(&commands, index);
    const struct command *command = find(&commands, words.word[0]);
    if (command && command->completes == COMPLETES_INFO && words.count > 1)
        command = find(&infos, words.word[1]);
    if (!command)
        return NULL;
    switch (command->completes) {
    case COMPLETES_VM:
        return nth_vm(monitor, index);
    case COMPLETES_INFO:
        return nth_name(&infos, index);
    case COMPLETES_COMMAND:
        if (words.count > 1)
            return strcmp(words.word[1], "info") == 0 ? nth_name(&infos, index) : NULL;
        return nth_name(&commands, index);
    case COMPLETES_ON_OFF:
        if (words.count > 1)
            return nth_vm(monitor, index);
        return index < ARRAY_LENGTH(on_off) ? on_off[index] : NULL;
    case COMPLETES_NOTHING:
        break;
    }
    return NULL;
}
