// The monitor's commands: one table of names, arguments, help and functions, from which `help` and
// the completion are made too. A command's function is in the file that its declaration below
// stands for.
#pragma once

#include "monitor/find.h"

// What the words behind a command's name can be, for the completion.
enum command_completes {
    COMPLETES_NOTHING,
    COMPLETES_VM,
    COMPLETES_INFO, // the words behind `info`
    COMPLETES_COMMAND,
    COMPLETES_ON_OFF,
};

typedef void command_function(struct monitor *monitor, const struct args *args);

struct command {
    const char *name;
    const char *arguments; // as the help shows them
    const char *help;
    command_function *run;
    enum command_completes completes;
    enum right needs;
    unsigned least, most; // words behind the name
    const char *options;  // letters
};

// Runs a line. Whatever is wrong with it is said in a line that helps.
void commands_run(struct monitor *monitor, const char *line);

// The words that can stand at the end of before[0 .. length): see line_candidate.
const char *commands_candidate(struct monitor *monitor, const char *before, size_t length,
                               unsigned index);

// An NMI for each of its vCPUs.
void commands_send_nmi(struct vm *vm);

// The word with this index, or NULL.
static inline const char *arg_at(const struct args *args, unsigned index)
{
    return index < args->count ? args->arg[index] : NULL;
}

// control.c
command_function command_stop, command_cont, command_system_reset, command_system_powerdown,
    command_kill, command_start, command_nmi, command_save, command_quit, command_console,
    command_cpu, command_resize, command_log, command_guest_ping, command_guest_fsfreeze;

// network.c
command_function command_set_link, command_announce_self, command_netdump, info_network;
// balloon.c
command_function command_balloon, info_balloon;

// tracing.c
command_function command_trace;

// memory.c
command_function command_x, command_xp;

// info.c
command_function info_vms, info_cpus, info_registers, info_mem, info_sched, info_capabilities,
    info_streams, info_uuid, info_generation, info_version, info_vcpu, info_vmcs;

// info_exits.c, info_irq.c
command_function info_irq, info_pci, info_qtree, info_exits, info_trace;
