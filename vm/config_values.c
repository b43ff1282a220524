// Values of vms.conf: numbers, words, texts. Each setter leaves its field alone and reports a value
// that does not fit.

#include "lib/string.h"
#include "vm/config_parser.h"

bool config_parse_number(struct config_text text, uint64_t *number)
{
    unsigned base = 10;
    size_t at = 0;
    if (text.length > 2 && text.at[0] == '0' && (text.at[1] | 0x20) == 'x') {
        base = 16;
        at = 2;
    }
    uint64_t value = 0;
    for (size_t i = at; i < text.length; i++) {
        unsigned c = (uint8_t)text.at[i], letter = c | 0x20, digit;
        if (c >= '0' && c <= '9')
            digit = c - '0';
        else if (base == 16 && letter >= 'a' && letter <= 'f')
            digit = letter - 'a' + 10;
        else
            return false;
        if (value > (UINT64_MAX - digit) / base)
            return false;
        value = value * base + digit;
    }
    *number = value;
    return text.length > at;
}

bool config_get_number(struct config_parser *parser, const char *key, struct config_text value,
                       uint64_t low, uint64_t high, uint64_t *number)
{
    if (config_parse_number(value, number) && *number >= low && *number <= high)
        return true;
    config_error(parser, "%s = %.*s: give a number from %lu to %lu", key, SHOWN(value), low, high);
    return false;
}

void config_set_unsigned(struct config_parser *parser, const char *key, struct config_text value,
                         uint64_t low, uint64_t high, unsigned *field)
{
    uint64_t number;
    if (config_get_number(parser, key, value, low, high, &number))
        *field = (unsigned)number;
}

bool config_get_word(struct config_parser *parser, const char *key, struct config_text value,
                     const struct config_word *words, unsigned count, int *meaning)
{
    for (unsigned i = 0; i < count; i++)
        if (config_text_is(value, words[i].text)) {
            *meaning = words[i].value;
            return true;
        }
    char list[100] = "";
    size_t used = 0;
    for (unsigned i = 0; i < count; i++) {
        size_t length = strlen(words[i].text);
        if (used + length + 3 > sizeof(list))
            break;
        if (i) {
            memcpy(list + used, ", ", 2);
            used += 2;
        }
        memcpy(list + used, words[i].text, length + 1);
        used += length;
    }
    config_error(parser, "%s = %.*s: give one of: %s", key, SHOWN(value), list);
    return false;
}

void config_set_bool(struct config_parser *parser, const char *key, struct config_text value,
                     bool *field)
{
    static const struct config_word words[] = {{"on", 1}, {"off", 0}, {"yes", 1}, {"no", 0}};
    int meaning;
    if (config_get_word(parser, key, value, words, ARRAY_LENGTH(words), &meaning))
        *field = meaning;
}

void config_set_action(struct config_parser *parser, const char *key, struct config_text value,
                       enum config_action *field)
{
    static const struct config_word words[] = {
        {"destroy", ACTION_DESTROY}, {"restart", ACTION_RESTART}, {"preserve", ACTION_PRESERVE}};
    int meaning;
    if (config_get_word(parser, key, value, words, ARRAY_LENGTH(words), &meaning))
        *field = (enum config_action)meaning;
}

void config_set_text(struct config_parser *parser, const char *key, struct config_text value,
                     char *field, size_t size)
{
    if (value.length >= size) {
        config_error(parser, "%s has %zu characters; at most %zu are possible", key, value.length,
                     size - 1);
        return;
    }
    memcpy(field, value.at, value.length);
    field[value.length] = 0;
}

void config_set_module_name(struct config_parser *parser, const char *key, struct config_text value,
                            char *field)
{
    if (value.length)
        config_set_text(parser, key, value, field, CONFIG_PATH);
    else
        config_error(parser, "%s is empty; give the name of a boot module or leave the line out",
                     key);
}
