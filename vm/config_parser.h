// What the files of the vms.conf parser share: lines (config.c) and keys (config_keys.c,
// config_trap.c).
#pragma once

#include "lib/span.h"
#include "vm/config.h"

struct config_parser {
    struct vm_config *vm; // the section's, or NULL while a bad section is skipped
    struct config_errors *errors;
    unsigned line;
    bool broken; // the section has an error
    bool any_section;
    uint32_t keys_seen; // by index in the table of keys
};

// Adds one error line with the position in front; the section counts as broken.
__attribute__((format(printf, 2, 3))) void config_error(struct config_parser *parser,
                                                        const char *format, ...);

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

// One `key = value` of a [vm] section into parser->vm.
void config_set_key(struct config_parser *parser, struct span key, struct span value);

// `trap = invlpg,cr3,pf` (config_trap.c).
void config_set_trap(struct config_parser *parser, const char *key, struct span value);

// For "%.*s": as much of a text as an error line has room for.
#define SHOWN(text) (int)MIN((text).length, 40), (text).at
