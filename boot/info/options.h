// Corbel's own command line: words `report` and `key=value`, separated by blanks, as the boot
// loader passes them. Pure; called once by the boot code. A word that is not understood is a
// warning and has no effect.
//
//   report                 print what this machine can do, then end
//   loglevel=info          messages that are shown: up to error, warning, info or debug
//   console=com1           the serial console: com1 to com4, a port number (0x3f8) or none
//   end=off                after a report, a refusal or a panic: off, halt, to keep the screen, or
//                          reset; end=panic panics instead of starting, to try that
//   mitigations=auto       mitigations of speculation: auto, off, force (whatever they cost); and
//                          with ,nosmt one thread a core
//   overcommit             memory that VMs gave back is for whoever asks first
//   watchdog=20            a CPU of ours that gets nowhere for so many seconds is a panic
//   hang=1                 has that CPU hang, to try that
//   stream=com2:gdb:web    that serial line speaks gdb's remote protocol, for that VM
//   fail_entry=web         lets each first VM entry of that VM fail, to try that: in turn by a bad
//                          control (a VMfail) and by bad guest state (an exit)
//   features=-vpid,-ept_ad CPU features that Corbel must not use (-), or may again (+)
#pragma once

#include "lib/log.h"
#include "lib/notes.h"
#include "lib/span.h"
#include "vm/config/config.h"
#include "vmx/policy/speculation.h"

#define OPTIONS_FEATURES_MAX 256
#define OPTIONS_NO_CPU       UINT32_MAX

enum boot_end {
    END_AUTO, // halt on a real machine with a screen, else off
    END_OFF,
    END_HALT,
    END_RESET,
    END_PANIC,
};

struct boot_options {
    bool report;
    enum log_level log_level; // messages up to it are shown
    enum boot_end end;
    enum mitigations mitigations;
    bool overcommit;
    bool nosmt;            // the other threads of a core are left out
    uint16_t console_port; // 0: no serial console
    unsigned watchdog;     // seconds
    unsigned hang;         // a CPU, or OPTIONS_NO_CPU
    uint16_t stream_port;  // 0: none
    char stream_vm[CONFIG_NAME];
    char fail_entry[CONFIG_NAME];        // a VM's name, or empty
    char features[OPTIONS_FEATURES_MAX]; // the value of features=, for vmcs_config_parse()
};

// Starts from the defaults (console com1, level info, all features), applies `cmdline`, adds a
// warning to `notes` for each word that means nothing. A key that is given twice: the last one
// counts (features= add up).
void options_parse(struct boot_options *options, const char *cmdline, struct notes *notes);
