// Splitting lines and reading numbers. Called by monitor/commands.c and the commands.

#include "monitor/args.h"

#include "lib/span.h"
#include "lib/string.h"

static bool take_options(struct args *args, const char *letters)
{
    if (!*letters)
        return false;
    for (; *letters; letters++) {
        if (*letters < 'a' || *letters > 'z')
            return false;
        args->options |= BIT(*letters - 'a');
    }
    return true;
}

enum args_result args_split(struct args *args, const char *line)
{
    enum args_result result = ARGS_OK;
    size_t used = 0;
    args->count = 0;
    args->options = 0;
    while (*line && result == ARGS_OK) {
        while (*line == ' ')
            line++;
        size_t length = 0;
        while (line[length] && line[length] != ' ' &&
               !(args->count == 0 && length > 0 && line[length] == '/'))
            length++;
        if (!length)
            break;
        char *word = args->text + used;
        memcpy(word, line, length);
        word[length] = 0;
        line += length;
        if (word[0] == '-' && args->count > 0) {
            result = take_options(args, word + 1) ? ARGS_OK : ARGS_BAD_OPTION;
        } else if (args->count == ARGS_MAX) {
            result = ARGS_TOO_MANY;
        } else {
            args->arg[args->count++] = word;
            used += length + 1;
        }
    }
    return result;
}

bool args_number(const char **text, uint64_t *value)
{
    struct span span = {*text, strlen(*text)};
    bool found = span_number(&span, value);
    *text = span.at;
    return found;
}
