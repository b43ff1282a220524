// What the files of the vms.conf parser share: lines (config.c) and keys (config_keys.c,
// config_trap.c, config_net.c, config_streams.c).
#pragma once

#include <stdarg.h>

#include "lib/span.h"
#include "vm/config/config.h"

struct config_parser {
    struct vm_config *vm; // the section's; both are NULL while a bad section is skipped
    struct config_switch *network;
    uint32_t network_keys; // a bit for each that its section has set
    struct notes *errors;
    unsigned line;
    bool broken; // the section has an error
    bool any_section;
    bool any_vm;
};

// "vms.conf:LINE: VM NAME: ..."; line 0, and a name that is NULL, are left out.
void config_format(struct explanation *why, unsigned line, const char *name, const char *format,
                   va_list arguments);

// Adds one error line with the position in front; the section counts as broken.
__attribute__((format(printf, 2, 3))) void config_error(struct config_parser *parser,
                                                        const char *format, ...);

// The section has set this key already.
void config_twice(struct config_parser *parser, const char *key);

// A table whose rows begin with their names.
struct config_names {
    const void *rows;
    size_t stride;
    unsigned count;
};

// The row that has the name, or `count`.
unsigned config_find(const struct config_names *names, struct span name);

// Says that `item` is an unknown `what`, with the name in the table that is near `name`, or else
// the remedy.
void config_unknown(struct config_parser *parser, const char *what, struct span item,
                    struct span name, const struct config_names *names, const char *remedy);

// What a switch says: 1 or 0.
extern const struct span_word config_on_off[];

// Where the key is set, or its VM's section begins.
unsigned config_line(const struct vm_config *config, const char *key);

// One `key = value` of a [vm] section into parser->vm.
void config_set_key(struct config_parser *parser, struct span key, struct span value);

// At the end of a section: what its keys are together.
void config_check(struct config_parser *parser);

// `trap = invlpg,cr3,pf` (config_trap.c).
void config_set_trap(struct config_parser *parser, const char *key, struct span value);

// `net = SWITCH,...`; and one `key = value` of a [switch] section into parser->network
// (config_net.c).
void config_set_net(struct config_parser *parser, const char *key, struct span value);
void config_set_switch_key(struct config_parser *parser, struct span key, struct span value);

// At the end of the file: the networks of vms[i] are there, and none of the VMs before it has a MAC
// address of its cards; and cards get the addresses that they lack.
void config_check_cards(struct config_parser *parser, const struct vm_config *vms, unsigned i,
                        const struct config_switches *switches);
void config_choose_macs(struct vm_config *vms, unsigned count);

// `vsock = yes`, `control = NAME:RIGHT ...` (config_streams.c).
void config_set_vsock(struct config_parser *parser, const char *key, struct span value);
void config_set_control(struct config_parser *parser, const char *key, struct span value);

// At the end of the file: whom vms[i] controls is there, and none before it has its CID; and those
// get one that only said yes.
void config_check_streams(struct config_parser *parser, const struct vm_config *vms, unsigned i,
                          unsigned count);
void config_choose_cids(struct vm_config *vms, unsigned count);

// For "%.*s": as much of a text as an error line has room for.
#define SHOWN(text) (int)MIN((text).length, 40), (text).at
