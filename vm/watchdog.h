// Whether a VM shows life: an exit that it asked for itself, or a vCPU whose RIP gets anywhere.
// Looked at about once a second (control/watchdog.c); judged here.
#pragma once

#include "vm/vm.h"

struct watchdog {
    uint64_t exits;         // that show life, at the last look
    uint64_t rip[VM_VCPUS]; // at the last look that had to be a closer one
    unsigned silent;        // looks in a row without life
};

// Whether there were exits since the last look; timers, interrupts of the host and PAUSE do not
// count. The VM may run.
bool watchdog_sees_exits(struct watchdog *dog, const struct vm *vm);

// The closer look: whether a vCPU that is not halted got out of a tight loop since the last such
// look. The VM stands still, STATE_FLOW is valid.
bool watchdog_sees_progress(struct watchdog *dog, const struct vm *vm);

enum watchdog_news { WATCHDOG_NOTHING, WATCHDOG_SILENT, WATCHDOG_BACK };

// The result of a look: news when the VM has been silent for `limit` looks, and when such a one
// shows life again.
enum watchdog_news watchdog_note(struct watchdog *dog, bool shows_life, unsigned limit);

// One line: for how long, and where its vCPUs are. The VM stands still, STATE_FLOW is valid.
void watchdog_describe(const struct watchdog *dog, const struct vm *vm, char *text, size_t size);
