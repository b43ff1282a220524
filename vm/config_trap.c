// The key `trap` of vms.conf: which exits to have that a guest could do without, one by one or all.
// Called by vm/config_keys.c.

#include "lib/string.h"
#include "vm/config_parser.h"
#include "vm/trap.h"
#include "vm/verdict.h"

#define VECTORS 32

static const struct trap_word {
    const char *text;
    uint32_t traps;
    uint32_t vectors; // of exceptions
} words[] = {
    {"all", TRAP_EVERY | TRAP_IF_POSSIBLE, UINT32_MAX},
    {"descriptor_tables", TRAP_DESCRIPTOR_TABLES, 0},
    {"invlpg", TRAP_INVLPG, 0},
    {"invpcid", TRAP_INVLPG, 0},
    {"rdtsc", TRAP_RDTSC, 0},
    {"rdtscp", TRAP_RDTSC, 0},
    {"rdpmc", TRAP_RDPMC, 0},
    {"cr3", TRAP_CR3_LOAD | TRAP_CR3_STORE, 0},
    {"cr3_load", TRAP_CR3_LOAD, 0},
    {"cr3_store", TRAP_CR3_STORE, 0},
    {"cr8", TRAP_CR8_LOAD | TRAP_CR8_STORE, 0},
    {"cr8_load", TRAP_CR8_LOAD, 0},
    {"cr8_store", TRAP_CR8_STORE, 0},
    {"dr", TRAP_MOV_DR, 0},
    {"mov_dr", TRAP_MOV_DR, 0},
    {"pause", TRAP_PAUSE, 0},
    {"hlt", TRAP_HLT, 0},
    {"wbinvd", TRAP_WBINVD, 0},
    {"monitor", TRAP_MONITOR, 0},
    {"mwait", TRAP_MWAIT, 0},
    {"rdrand", TRAP_RDRAND, 0},
    {"rdseed", TRAP_RDSEED, 0},
    {"io", TRAP_IO, 0},
    {"msr", TRAP_MSR, 0},
    {"exceptions", 0, UINT32_MAX},
    {"de", 0, BIT32(VECTOR_DE)},
    {"db", 0, BIT32(VECTOR_DB)},
    {"bp", 0, BIT32(VECTOR_BP)},
    {"of", 0, BIT32(VECTOR_OF)},
    {"br", 0, BIT32(VECTOR_BR)},
    {"ud", 0, BIT32(VECTOR_UD)},
    {"nm", 0, BIT32(VECTOR_NM)},
    {"df", 0, BIT32(VECTOR_DF)},
    {"ts", 0, BIT32(VECTOR_TS)},
    {"np", 0, BIT32(VECTOR_NP)},
    {"ss", 0, BIT32(VECTOR_SS)},
    {"gp", 0, BIT32(VECTOR_GP)},
    {"pf", 0, BIT32(VECTOR_PF)},
    {"mf", 0, BIT32(VECTOR_MF)},
    {"ac", 0, BIT32(VECTOR_AC)},
    {"xm", 0, BIT32(VECTOR_XM)},
    {"cp", 0, BIT32(VECTOR_CP)},
};

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
            parser->vm->traps |= words[i].traps;
            parser->vm->trap_vectors |= words[i].vectors;
        } else if (span_is_number(word, &vector) && vector < VECTORS) {
            parser->vm->trap_vectors |= BIT32(vector);
        } else {
            config_unknown(parser, "trap: unknown exit", item, word, &names,
                           "an exception is a name such as pf or a number below 32, the other "
                           "words stand in docs/settings.md");
        }
    }
}
