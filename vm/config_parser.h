// What the files of the vms.conf parser share: lines (config.c), keys (config_keys.c,
// config_trap.c), values (config_values.c).
#pragma once

#include "vm/config.h"

// A piece of the file; not terminated.
struct config_text {
    const char *at;
    size_t length;
};

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

// One `key = value` of a [vm] section into parser->vm.
void config_set_key(struct config_parser *parser, struct config_text key, struct config_text value);

// `trap = invlpg,cr3,pf` (config_trap.c).
void config_set_trap(struct config_parser *parser, const char *key, struct config_text value);

bool config_text_is(struct config_text text, const char *word);
struct config_text config_trim(struct config_text text);

// Cuts the piece before `separator` off the front of `text` (all of it if there is none). False:
// nothing is left.
bool config_split(struct config_text *text, char separator, struct config_text *piece);

// ---- values: every function reports what is wrong under the name `key`
// ----------------------------------------------

// For "%.*s": as much of a text as an error line has room for.
#define SHOWN(text) (int)MIN((text).length, 40), (text).at

struct config_word {
    const char *text;
    int value;
};

// Digits, decimal or after 0x, and nothing else. False: not a number, or it does not fit 64 bits;
// nothing is reported.
bool config_parse_number(struct config_text text, uint64_t *number);

// A number from `low` to `high`, both included.
bool config_get_number(struct config_parser *parser, const char *key, struct config_text value,
                       uint64_t low, uint64_t high, uint64_t *number);
void config_set_unsigned(struct config_parser *parser, const char *key, struct config_text value,
                         uint64_t low, uint64_t high, unsigned *field);

// One of a list of words; the error names them all.
bool config_get_word(struct config_parser *parser, const char *key, struct config_text value,
                     const struct config_word *words, unsigned count, int *meaning);
void config_set_bool(struct config_parser *parser, const char *key, struct config_text value,
                     bool *field); // on, off, yes, no
void config_set_action(struct config_parser *parser, const char *key, struct config_text value,
                       enum config_action *field);

// A text that fits `size` bytes with its terminating NUL.
void config_set_text(struct config_parser *parser, const char *key, struct config_text value,
                     char *field, size_t size);

// The name of a boot module, not empty, into CONFIG_PATH bytes.
void config_set_module_name(struct config_parser *parser, const char *key, struct config_text value,
                            char *field);
