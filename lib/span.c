// Pieces of a text: see span.h.

#include "lib/span.h"

#include "lib/string.h"

static void drop(struct span *span, size_t length)
{
    span->at += length;
    span->length -= length;
}

bool span_is(struct span span, const char *word)
{
    return strlen(word) == span.length && memcmp(span.at, word, span.length) == 0;
}

bool span_means(struct span span, const struct span_word *words, int *value)
{
    for (; words->text; words++)
        if (span_is(span, words->text)) {
            *value = words->value;
            return true;
        }
    return false;
}

struct span span_trim(struct span span)
{
    while (span.length && span_is_blank(span.at[0]))
        drop(&span, 1);
    while (span.length && span_is_blank(span.at[span.length - 1]))
        span.length--;
    return span;
}

bool span_split(struct span *span, char separator, struct span *piece)
{
    if (!span->length)
        return false;
    size_t length = 0;
    while (length < span->length && span->at[length] != separator)
        length++;
    *piece = span_trim((struct span){span->at, length});
    drop(span, MIN(length + 1, span->length));
    return true;
}

bool span_cut_word(struct span *span, struct span *word)
{
    *span = span_trim(*span);
    *word = (struct span){span->at, 0};
    while (word->length < span->length && !span_is_blank(span->at[word->length]))
        word->length++;
    drop(span, word->length);
    return word->length;
}

unsigned span_digit(char c)
{
    unsigned letter = (unsigned)(c | 0x20);
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : ~0U;
}

bool span_number(struct span *span, uint64_t *value)
{
    bool is_hex = span->length > 1 && span->at[0] == '0' && (span->at[1] | 0x20) == 'x';
    unsigned base = is_hex ? 16 : 10;
    struct span rest = *span;
    drop(&rest, is_hex ? 2 : 0);
    size_t digits = rest.length;
    for (*value = 0; rest.length && span_digit(rest.at[0]) < base; drop(&rest, 1)) {
        unsigned digit = span_digit(rest.at[0]);
        if (*value > (UINT64_MAX - digit) / base)
            return false;
        *value = *value * base + digit;
    }
    if (rest.length == digits)
        return false;
    *span = rest;
    return true;
}
