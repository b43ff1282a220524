// The key `trap` of vms.conf: which exits to have that a guest could do without, one by one or all.
// Called by vm/config/config_keys.c.

#include "vm/config/config_parser.h"
#include "vm/verdict.h"

#define VECTORS 32

#define TRAP_WORD(name, text, ...)         {text, TRAP_##name, 0},
#define EXCEPTION_WORD(name, text, vector) {text, 0, BIT32(vector)},
static const struct trap_word {
    const char *text;
    uint32_t traps;
    uint32_t vectors; // of exceptions
} words[] = {{"all", TRAP_EVERY | TRAP_IF_POSSIBLE, UINT32_MAX},
             {"exceptions", 0, UINT32_MAX},
             {"invpcid", TRAP_INVLPG, 0},
             {"rdtscp", TRAP_RDTSC, 0},
             {"cr3", TRAP_CR3_LOAD | TRAP_CR3_STORE, 0},
             {"cr8", TRAP_CR8_LOAD | TRAP_CR8_STORE, 0},
             {"dr", TRAP_MOV_DR, 0},
             VM_TRAPS(TRAP_WORD) VM_EXCEPTIONS(EXCEPTION_WORD)};

#define WORD_SIZE 24

// As the table spells it: small letters, underscores, no '#' of an exception's name.
static struct span plain(struct span item, char text[WORD_SIZE])
{
    if (item.length > 1 && item.at[0] == '#')
        item = (struct span){item.at + 1, item.length - 1};
    size_t length = MIN(item.length, (size_t)WORD_SIZE);
    for (size_t i = 0; i < length; i++) {
        char c = item.at[i];
        text[i] = c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c == '-' || c == ' ' ? '_' : c;
    }
    return (struct span){text, length};
}

void config_set_trap(struct config_parser *parser, const char *key, struct span value)
{
    const struct config_names names = {words, sizeof(words[0]), ARRAY_LENGTH(words)};
    struct span item;
    if (!value.length)
        config_error(parser, "%s is empty (after a space a # begins a comment: write pf for #pf)",
                     key);
    while (span_split(&value, ',', &item)) {
        char text[WORD_SIZE];
        struct span word = plain(item, text);
        uint64_t vector;
        unsigned i = config_find(&names, word);
        if (i < names.count) {
            parser->vm->traits.traps |= words[i].traps;
            parser->vm->traits.trap_vectors |= words[i].vectors;
        } else if (span_is_number(word, &vector) && vector < VECTORS) {
            parser->vm->traits.trap_vectors |= BIT32(vector);
        } else {
            config_unknown(parser, "trap: unknown exit", item, word, &names,
                           "an exception is a name such as pf or a number below 32, the other "
                           "words stand in docs/settings.md");
        }
    }
}
