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

struct command {
    const char *name;
    const char *arguments; // as the help shows them
    const char *help;
    void (*run)(struct monitor *monitor, const struct words *words);
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
void command_stop(struct monitor *monitor, const struct words *words);
void command_cont(struct monitor *monitor, const struct words *words);
void command_system_reset(struct monitor *monitor, const struct words *words);
void command_system_powerdown(struct monitor *monitor, const struct words *words);
void command_kill(struct monitor *monitor, const struct words *words);
void command_start(struct monitor *monitor, const struct words *words);
void command_nmi(struct monitor *monitor, const struct words *words);
void command_quit(struct monitor *monitor, const struct words *words);
void command_console(struct monitor *monitor, const struct words *words);
void command_cpu(struct monitor *monitor, const struct words *words);
void command_trace(struct monitor *monitor, const struct words *words);
void command_log(struct monitor *monitor, const struct words *words);

// memory.c
void command_x(struct monitor *monitor, const struct words *words);
void command_xp(struct monitor *monitor, const struct words *words);

// info.c
void info_vms(struct monitor *monitor, const struct words *words);
void info_cpus(struct monitor *monitor, const struct words *words);
void info_registers(struct monitor *monitor, const struct words *words);
void info_mem(struct monitor *monitor, const struct words *words);
void info_sched(struct monitor *monitor, const struct words *words);
void info_capabilities(struct monitor *monitor, const struct words *words);
void info_version(struct monitor *monitor, const struct words *words);

// info_exits.c, info_irq.c
void info_irq(struct monitor *monitor, const struct words *words);
void info_exits(struct monitor *monitor, const struct words *words);
void info_trace(struct monitor *monitor, const struct words *words);
