// The tables of commands, and finding one: by its name, or what the person may have meant.

#include "monitor/commands.h"

#include "lib/string.h"
#include "lib/suggest.h"
#include "monitor/line.h"

static command_function command_help, command_info;

// Help texts are at most 47 characters a line: beside their commands they fit 80 columns.
static const struct command command_rows[] = {
    {"announce_self", "vm[.netN]", "have a VM's cards tell the network where it is",
     command_announce_self, COMPLETES_VM, RIGHT_OPERATE, 1, 1, ""},
    {"balloon", "[vm] size",
     "the memory that a VM is to have, MiB, or with\n"
     "a unit, 2G: the rest goes back to the machine",
     command_balloon, COMPLETES_VM, RIGHT_OPERATE, 1, 2, ""},
    {"console", "[vm]", "go to a VM's console (Ctrl-A and its digit, too)", command_console,
     COMPLETES_VM, RIGHT_MACHINE, 0, 1, ""},
    {"cont", "[vm]", "let a stopped VM go on", command_cont, COMPLETES_VM, RIGHT_OPERATE, 0, 1, ""},
    {"cpu", "[index]", "the vCPU whose registers and memory are meant", command_cpu,
     COMPLETES_NOTHING, RIGHT_OBSERVE, 0, 1, ""},
    {"guest-fsfreeze", "vm WHAT",
     "ask the guest agent to freeze a VM's file\n"
     "systems; WHAT: freeze, thaw, status",
     command_guest_fsfreeze, COMPLETES_VM, RIGHT_OPERATE, 2, 2, ""},
    {"guest-ping", "[vm]", "whether the guest agent answers", command_guest_ping, COMPLETES_VM,
     RIGHT_OPERATE, 0, 1, ""},
    {"help", "[command]", "this list", command_help, COMPLETES_COMMAND, RIGHT_NONE, 0, 2, ""},
    {"info", "what [...]", "show something: 'info' alone lists what", command_info, COMPLETES_INFO,
     RIGHT_NONE, 0, ARGS_MAX, NULL},
    {"kill", "vm", "end a VM at once", command_kill, COMPLETES_VM, RIGHT_OPERATE, 1, 1, ""},
    {"log", "[level]",
     "Corbel's own messages again, or up to a level:\n"
     "error, warning, info, debug",
     command_log, COMPLETES_NOTHING, RIGHT_MACHINE, 0, 1, ""},
    {"netdump", "vm[.netN] on|off|show",
     "capture what passes a VM's cards; show: what was\n"
     "captured since (tools/netdump makes files of it)",
     command_netdump, COMPLETES_VM, RIGHT_TAKE, 2, 2, ""},
    {"nmi", "[vm]", "send an NMI to all vCPUs of a VM", command_nmi, COMPLETES_VM, RIGHT_OPERATE, 0,
     1, ""},
    {"quit", "", "end all VMs and switch the machine off", command_quit, COMPLETES_NOTHING,
     RIGHT_MACHINE, 0, 0, ""},
    {"resize", "COLUMNSxROWS", "the terminal's size, for virtio consoles", command_resize,
     COMPLETES_NOTHING, RIGHT_MACHINE, 1, 1, ""},
    {"save", "[vm]",
     "write a VM to the debug port of the emulator, as\n"
     "'restore =' of vms.conf reads it; it goes on",
     command_save, COMPLETES_VM, RIGHT_MACHINE, 0, 1, ""},
    {"set_link", "vm[.netN] on|off", "plug a VM's cards in and out", command_set_link, COMPLETES_VM,
     RIGHT_OPERATE, 2, 2, ""},
    {"start", "vm", "start a VM that has ended", command_start, COMPLETES_VM, RIGHT_OPERATE, 1, 1,
     ""},
    {"stop", "[vm]", "let a VM stand still, its time with it", command_stop, COMPLETES_VM,
     RIGHT_OPERATE, 0, 1, ""},
    {"system_powerdown", "[vm]",
     "ask a VM's agent to shut it down, or else press\nits power button", command_system_powerdown,
     COMPLETES_VM, RIGHT_OPERATE, 0, 1, ""},
    {"system_reset", "[vm]", "start a VM anew at once", command_system_reset, COMPLETES_VM,
     RIGHT_OPERATE, 0, 1, ""},
    {"trace", "on|off [vm] [WHICH ...]",
     "a line for each exit of a VM, at most 50 a\n"
     "second; 'info trace' has more. WHICH: of these\n"
     "only: reason=cpuid port=0x3f8 msr=IA32_EFER",
     command_trace, COMPLETES_ON_OFF, RIGHT_MACHINE, 1, 2 + WATCH_WANTED, ""},
    {"x", "[/COUNT FORMAT SIZE] address",
     "guest memory at a linear address: x/8xg $rsp;\n"
     "formats x d u o c s, sizes b h w g",
     command_x, COMPLETES_NOTHING, RIGHT_TAKE, 1, 2, ""},
    {"xp", "[/COUNT FORMAT SIZE] address", "the same at a guest-physical address", command_xp,
     COMPLETES_NOTHING, RIGHT_TAKE, 1, 2, ""},
};

static const struct command info_rows[] = {
    {"balloon", "[vm]", "memory that VMs have and gave back, in MiB", info_balloon, COMPLETES_VM,
     RIGHT_OBSERVE, 0, 1, ""},
    {"capabilities", "", "what VMX can do here and what Corbel uses", info_capabilities,
     COMPLETES_NOTHING, RIGHT_MACHINE, 0, 0, ""},
    {"cpus", "[vm]", "vCPUs: state, place, instruction pointer", info_cpus, COMPLETES_VM,
     RIGHT_OBSERVE, 0, 1, ""},
    {"exits", "[-c|-j] [-hpmg] [vm]",
     "exits by reason; -h histograms; -p ports, -m\n"
     "MSRs, -g pages ('trace on' counts them);\n"
     "-c as CSV, -j as JSON lines",
     info_exits, COMPLETES_VM, RIGHT_OBSERVE, 0, 1, "cjhpmg"},
    {"irq", "[vm]", "interrupt controllers", info_irq, COMPLETES_VM, RIGHT_OBSERVE, 0, 1, ""},
    {"pci", "[vm]", "functions on the PCI bus", info_pci, COMPLETES_VM, RIGHT_OBSERVE, 0, 1, ""},
    {"qtree", "[vm]", "devices and their fields", info_qtree, COMPLETES_VM, RIGHT_TAKE, 0, 1, ""},
    {"mem", "", "memory: the machine's and the VMs'", info_mem, COMPLETES_NOTHING, RIGHT_MACHINE, 0,
     0, ""},
    {"network", "[vm]", "switches, ports, and what was dropped", info_network, COMPLETES_VM,
     RIGHT_OBSERVE, 0, 1, ""},
    {"registers", "[-a] [vm]", "registers of the chosen vCPU; -a: of all", info_registers,
     COMPLETES_VM, RIGHT_TAKE, 0, 1, "a"},
    {"sched", "", "CPUs, and what the scheduler gave each vCPU", info_sched, COMPLETES_NOTHING,
     RIGHT_MACHINE, 0, 0, ""},
    {"streams", "[vm]", "connections of VMs with Corbel", info_streams, COMPLETES_VM, RIGHT_OBSERVE,
     0, 1, ""},
    {"trace", "[-a] [vm]",
     "the last exits of each vCPU, while 'trace on';\n"
     "-a: all that are kept",
     info_trace, COMPLETES_VM, RIGHT_TAKE, 0, 1, "a"},
    {"uuid", "[vm]", "what its guest knows the machine by", info_uuid, COMPLETES_VM, RIGHT_OBSERVE,
     0, 1, ""},
    {"vm-generation-id", "[vm]", "another one whenever its disks begin anew", info_generation,
     COMPLETES_VM, RIGHT_OBSERVE, 0, 1, ""},
    {"version", "", "what this is", info_version, COMPLETES_NOTHING, RIGHT_NONE, 0, 0, ""},
    {"vcpu", "[vm]", "all state of the chosen vCPU", info_vcpu, COMPLETES_VM, RIGHT_TAKE, 0, 1, ""},
    {"vmcs", "[vm]", "all fields of the chosen vCPU's VMCS", info_vmcs, COMPLETES_VM, RIGHT_TAKE, 0,
     1, ""},
    {"vms", "", "all VMs and their states", info_vms, COMPLETES_NOTHING, RIGHT_NONE, 0, 0, ""},
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
    {"domfsfreeze", "guest-fsfreeze"},
    {"domif-setlink", "set_link"},
    {"domiflist", "info network"},
    {"dominfo", "info vms"},
    {"exit", "console"},
    {"inject-nmi", "nmi"},
    {"list", "info vms"},
    {"network-list", "info network"},
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
static char wrong_option(const struct command *command, const struct args *args)
{
    for (char letter = 'a'; letter <= 'z' && command->options; letter++)
        if (args_have(args, letter) && !strchr(command->options, letter))
            return letter;
    return 0;
}

// Over which VMs, its function finds out.
static bool is_for(const struct monitor *monitor, const struct command *command)
{
    return command->needs < RIGHT_MACHINE || !monitor->rights;
}

// Runs the command of that name with the words behind it.
static void run(struct monitor *monitor, const struct table *table, const char *name,
                const struct args *args)
{
    const struct command *command = find(table, name);
    unsigned given = args->count - 1;
    if (!command) {
        say_unknown(monitor, table, name);
        return;
    }
    if (!is_for(monitor, command)) {
        say(monitor, "%s%s: it is the operator's\n", table->prefix, name);
        return;
    }
    monitor->needed = command->needs;
    char option = wrong_option(command, args);
    if (option)
        say(monitor, "%s%s has no option -%c: ", table->prefix, name, option);
    else if (given < command->least)
        say(monitor, "%s%s needs more: ", table->prefix, name);
    else if (given > command->most)
        say(monitor, "%s: one word too many: ", args->arg[command->most + 1]);
    else {
        command->run(monitor, args);
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
        if (is_for(monitor, &table->rows[i]))
            print_help(monitor, table->prefix, &table->rows[i]);
}

static void command_info(struct monitor *monitor, const struct args *args)
{
    if (args->count < 2) {
        list(monitor, &infos);
        return;
    }
    struct args rest = {.count = args->count - 1, .options = args->options};
    memcpy(rest.arg, args->arg + 1, rest.count * sizeof(rest.arg[0]));
    run(monitor, &infos, rest.arg[0], &rest);
}

static void command_help(struct monitor *monitor, const struct args *args)
{
    const char *name = arg_at(args, 1), *what = arg_at(args, 2);
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
    struct args args;
    enum args_result result = args_split(&args, line);
    if (result == ARGS_TOO_MANY)
        say(monitor, "more than %u words: no command has so many\n", ARGS_MAX);
    else if (result == ARGS_BAD_OPTION)
        say(monitor, "an option is a '-' and a letter from a to z\n");
    else if (args.count > 0)
        run(monitor, &commands, strcmp(args.arg[0], "?") == 0 ? "help" : args.arg[0], &args);
}

// ---- completion ----

static const char *nth_vm(struct monitor *monitor, unsigned index)
{
    for (unsigned slot = 0; slot < CONFIG_VMS; slot++) {
        struct monitor_vm vm = monitor_vm(monitor, slot);
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
    struct args args;
    memcpy(line, before, length);
    while (length > 0 && line[length - 1] != ' ') // what is being typed does not count
        length--;
    line[length] = 0;
    if (args_split(&args, line) != ARGS_OK)
        return NULL;
    if (args.count == 0)
        return nth_name(&commands, index);
    const struct command *command = find(&commands, args.arg[0]);
    if (command && command->completes == COMPLETES_INFO && args.count > 1)
        command = find(&infos, args.arg[1]);
    if (!command)
        return NULL;
    switch (command->completes) {
    case COMPLETES_VM:
        return nth_vm(monitor, index);
    case COMPLETES_INFO:
        return nth_name(&infos, index);
    case COMPLETES_COMMAND:
        if (args.count > 1)
            return strcmp(args.arg[1], "info") == 0 ? nth_name(&infos, index) : NULL;
        return nth_name(&commands, index);
    case COMPLETES_ON_OFF:
        if (args.count > 1)
            return nth_vm(monitor, index);
        return index < ARRAY_LENGTH(on_off) ? on_off[index] : NULL;
    case COMPLETES_NOTHING:
        break;
    }
    return NULL;
}
