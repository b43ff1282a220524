// What all commands need: a line of the answer, and the VM that a word names.
#pragma once

#include "monitor/monitor.h"
#include "monitor/args.h"

__attribute__((format(printf, 2, 3))) void say(struct monitor *monitor, const char *format, ...);

// What is in a slot; nothing, if it may not be known.
struct monitor_vm monitor_vm(const struct monitor *monitor, unsigned slot);

// The slot of the VM that a word names (by name or number; NULL: the one last in focus), or
// CONFIG_VMS: said why. It may be named by the command that runs.
unsigned find_slot(struct monitor *monitor, const char *word);
// The same for a VM that exists now; else `vm` is NULL: said why.
struct monitor_vm find_vm(struct monitor *monitor, const char *word);
