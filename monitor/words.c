// Splitting lines and reading numbers. Called by monitor/commands.c and the commands.

#include "monitor/words.h"

#include "lib/span.h"
#include "lib/string.h"

static bool take_options(struct words *words, const char *letters)
{
    if (!*letters)
        return false;
    for (; *letters; letters++) {
        if (*letters < 'a' || *letters > 'z')
            return false;
        words->options |= BIT(*letters - 'a');
    }
    return true;
}

enum words_result words_split(struct words *words, const char *line)
{
    enum words_result result = WORDS_OK;
    size_t used = 0;
    words->count = 0;
    words->options = 0;
    while (*line && result == WORDS_OK) {
        while (*line == ' ')
            line++;
        size_t length = 0;
        while (line[length] && line[length] != ' ' &&
               !(words->count == 0 && length > 0 && line[length] == '/'))
            length++;
        if (!length)
            break;
        char *word = words->text + used;
        memcpy(word, line, length);
        word[length] = 0;
        line += length;
        if (word[0] == '-' && words->count > 0) {
            result = take_options(words, word + 1) ? WORDS_OK : WORDS_BAD_OPTION;
        } else if (words->count == WORDS_MAX) {
            result = WORDS_TOO_MANY;
        } else {
            words->word[words->count++] = word;
            used += length + 1;
        }
    }
    return result;
}

bool words_number(const char **text, uint64_t *value)
{
    struct span span = {*text, strlen(*text)};
    bool found = span_number(&span, value);
    *text = span.at;
    return found;
}
