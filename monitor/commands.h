// The monitor's commands: one table of names, arguments, help and functions, from which `help` and
// the completion are made too. A command's function is in the file that its declaration below
// stands for.
#pragma once

#include "monitor/monitor.h"
#include "monitor/words.h"

// What the words behind a command's name can be, for the completion.
enum command_completes {
    COMPLETES_NOTHING,
    COMPLETES_VM,
    COMPLETES_INFO, // the words behind `info`
    COMPLETES_COMMAND,
    COMPLETES_ON_OFF,
};

typedef void command_function(struct monitor *monitor, const struct words *words);

struct command {
    const char *name;
    const char *arguments; // as the help shows them
    const char *help;
    command_function *run;
    enum command_completes completes;
    unsigned least, most; // words behind the name
    const char *options;  // letters
};

// Runs a line. Whatever is wrong with it is said in a line that helps.
void commands_run(struct monitor *monitor, const char *line);

// The words that can stand at the end of before[0 .. length): see line_candidate.
const char *commands_candidate(struct monitor *monitor, const char *before, size_t length,
                               unsigned index);

__attribute__((format(printf, 2, 3))) void say(struct monitor *monitor, const char *format, ...);

// The slot of the VM that a word names (by name or number; NULL: the one last in focus), or
// CONFIG_VMS: said why.
unsigned find_slot(struct monitor *monitor, const char *word);
// The same for a VM that exists now; else `vm` is NULL: said why.
struct monitor_vm find_vm(struct monitor *monitor, const char *word);

// The word with this index, or NULL.
static inline const char *word_at(const struct words *words, unsigned index)
{
    return index < words->count ? words->word[index] : NULL;
}

// control.c
command_function command_stop, command_cont, command_system_reset, command_system_powerdown,
    command_kill, command_start, command_nmi, command_quit, command_console, command_cpu,
    command_trace, command_log;

// memory.c
command_function command_x, command_xp;

// info.c
command_function info_vms, info_cpus, info_registers, info_mem, info_sched, info_capabilities,
    info_version;

// info_exits.c, info_irq.c
command_function info_irq, info_exits, info_trace;
