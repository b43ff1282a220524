// JSON: QMP's messages, and those of QEMU's guest agent.

#include "lib/json.h"

#include "lib/string.h"

bool json_scan(struct json_scan *scan, char byte)
{
    bool ends = false;
    if (byte == '\n' && (scan->in_string || !scan->depth)) {
        ends = true;
    } else if (scan->in_string) {
        scan->in_string = byte != '"' || scan->is_escaped;
        scan->is_escaped = byte == '\\' && !scan->is_escaped;
    } else if (byte == '"') {
        scan->in_string = true;
    } else if (byte == '{' || byte == '[') {
        scan->depth++;
    } else if ((byte == '}' || byte == ']') && scan->depth) {
        ends = --scan->depth == 0;
    }
    if (ends)
        *scan = (struct json_scan){0};
    return ends;
}

// ---- checking: each function takes what it knows off the front ----

static void skip(struct span *text, size_t length)
{
    text->at += length;
    text->length -= length;
}

static char first(const struct span *text)
{
    return text->length ? *text->at : 0;
}

static bool take(struct span *text, char wanted)
{
    if (!text->length || *text->at != wanted)
        return false;
    skip(text, 1);
    return true;
}

static void take_blanks(struct span *text)
{
    while (text->length && span_is_blank(*text->at))
        skip(text, 1);
}

// The number behind a \u; more than 16 bits: there is none.
static uint32_t take_unit(struct span *text)
{
    uint32_t unit = 0;
    for (unsigned i = 0; i < 4; i++) {
        unsigned digit = text->length ? span_digit(*text->at) : 16;
        if (digit > 15)
            return UINT32_MAX;
        unit = unit << 4 | digit;
        skip(text, 1);
    }
    return unit;
}

// A character outside of the first 64 Ki is two units. 0: it is no character, or the NUL.
static uint32_t take_unicode(struct span *text)
{
    uint32_t unit = take_unit(text);
    if (unit - 0xd800 >= 0x800)
        return unit == UINT32_MAX ? 0 : unit;
    if (unit >= 0xdc00 || !take(text, '\\') || !take(text, 'u'))
        return 0;
    uint32_t low = take_unit(text) - 0xdc00;
    return low < 0x400 ? 0x10000 + ((unit - 0xd800) << 10) + low : 0;
}

// A character as UTF-8 has it. 0: it is none.
static uint32_t take_utf8(struct span *text)
{
    uint8_t lead = (uint8_t)*text->at;
    unsigned more = lead < 0x80 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
    uint32_t code = more ? lead & (0x3fU >> more) : lead;
    skip(text, 1);
    if ((lead >= 0x80 && lead < 0xc2) || lead > 0xf4 || text->length < more)
        return 0;
    for (unsigned i = 0; i < more; i++, skip(text, 1)) {
        if (((uint8_t)*text->at & 0xc0) != 0x80)
            return 0;
        code = code << 6 | ((uint8_t)*text->at & 0x3f);
    }
    static const uint32_t least[] = {1, 0x80, 0x800, 0x10000};
    return code < least[more] || code - 0xd800 < 0x800 || code > 0x10ffff ? 0 : code;
}

// A character of a string, behind its quote. 0: it is none.
static uint32_t take_character(struct span *text)
{
    static const char escapes[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    if (!take(text, '\\'))
        return text->length && (uint8_t)*text->at >= ' ' ? take_utf8(text) : 0;
    if (take(text, 'u'))
        return take_unicode(text);
    const char *escape = first(text) ? strchr(escapes, *text->at) : NULL;
    if (!escape)
        return 0;
    skip(text, 1);
    return (uint8_t)means[escape - escapes];
}

static bool take_string(struct span *text)
{
    if (!take(text, '"'))
        return false;
    while (!take(text, '"'))
        if (!take_character(text))
            return false;
    return true;
}

static bool take_digits(struct span *text)
{
    size_t before = text->length;
    while (text->length && span_digit(*text->at) < 10)
        skip(text, 1);
    return text->length < before;
}

static bool take_number(struct span *text)
{
    (void)take(text, '-');
    if (!take(text, '0') && !take_digits(text))
        return false;
    if (take(text, '.') && !take_digits(text))
        return false;
    if (!take(text, 'e') && !take(text, 'E'))
        return true;
    if (!take(text, '+'))
        (void)take(text, '-');
    return take_digits(text);
}

static bool take_scalar(struct span *text)
{
    static const char *const words[] = {"true", "false", "null"};
    if (first(text) == '"')
        return take_string(text);
    for (unsigned i = 0; i < ARRAY_LENGTH(words); i++) {
        size_t length = strlen(words[i]);
        if (text->length >= length && memcmp(text->at, words[i], length) == 0) {
            skip(text, length);
            return true;
        }
    }
    return take_number(text);
}

// A member's name and its colon.
static bool take_name(struct span *text)
{
    take_blanks(text);
    if (!take_string(text))
        return false;
    take_blanks(text);
    return take(text, ':');
}

bool json_is_good(struct span text)
{
    uint64_t objects = 0; // a bit for what is open: it is an object; the innermost is bit 0
    unsigned depth = 0;
    for (;;) {
        if (depth && (objects & 1) && !take_name(&text))
            return false;
        take_blanks(&text);
        bool is_object = first(&text) == '{';
        if (is_object || first(&text) == '[') {
            if (depth++ == JSON_DEPTH)
                return false;
            objects = objects << 1 | is_object;
            skip(&text, 1);
            take_blanks(&text);
            if (first(&text) != (is_object ? '}' : ']'))
                continue;
        } else if (!take_scalar(&text)) {
            return false;
        }
        for (take_blanks(&text); depth && take(&text, objects & 1 ? '}' : ']'); depth--) {
            objects >>= 1;
            take_blanks(&text);
        }
        if (!depth)
            return !text.length;
        if (!take(&text, ','))
            return false;
    }
}
_Static_assert(JSON_DEPTH <= 64, "a bit each");

// ---- walking ----

// The length of the value at the front: to its last bracket or quote, or to what follows a word.
static size_t extent(struct span text)
{
    struct json_scan scan = {0};
    size_t length = 0;
    if (text.length && strchr("{[\"", *text.at)) {
        while (length < text.length) {
            bool ends = json_scan(&scan, text.at[length++]);
            if (ends || (!scan.depth && !scan.in_string))
                break;
        }
        return length;
    }
    while (length < text.length && !strchr(",]}", text.at[length]) &&
           !span_is_blank(text.at[length]))
        length++;
    return length;
}

static struct span cut(struct span *rest)
{
    take_blanks(rest);
    struct span value = {rest->at, extent(*rest)};
    skip(rest, value.length);
    take_blanks(rest);
    return value;
}

bool json_next(struct span *rest, struct span *name, struct span *value)
{
    take_blanks(rest);
    // The rest of an object begins with a comma and a name, that of an array with a comma alone:
    // which it is, the value's end does not say. So a name is what has a colon behind it.
    if (!take(rest, '{') && !take(rest, '[') && !take(rest, ','))
        return false;
    take_blanks(rest);
    if (!rest->length || *rest->at == '}' || *rest->at == ']')
        return false;
    *value = cut(rest);
    if (take(rest, ':')) {
        if (name)
            *name = *value;
        *value = cut(rest);
    }
    return true;
}

bool json_member(struct span object, const char *name, struct span *value)
{
    struct span found = {0}, part;
    object = span_trim(object);
    if (!json_is(object, '{'))
        return false;
    while (json_next(&object, &found, &part) && !json_is_string(found, name))
        found.length = 0;
    if (found.length)
        *value = part;
    return found.length;
}

static size_t put_utf8(uint32_t code, char bytes[4])
{
    static const uint8_t leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = length; i-- > 1; code >>= 6)
        bytes[i] = (char)(0x80 | (code & 0x3f));
    bytes[0] = (char)(leads[length] | code);
    return length;
}

bool json_string(struct span value, char *text, size_t size)
{
    char bytes[4];
    size_t length = 0;
    text[0] = 0;
    if (!take(&value, '"'))
        return false;
    while (value.length && *value.at != '"') {
        size_t more = put_utf8(take_character(&value), bytes);
        if (length + more >= size) {
            text[0] = 0;
            return false;
        }
        memcpy(text + length, bytes, more);
        length += more;
    }
    text[length] = 0;
    return true;
}

bool json_is_string(struct span value, const char *text)
{
    char bytes[4];
    size_t left = strlen(text);
    if (!take(&value, '"'))
        return false;
    while (value.length && *value.at != '"') {
        size_t more = put_utf8(take_character(&value), bytes);
        if (more > left || memcmp(text, bytes, more) != 0)
            return false;
        text += more;
        left -= more;
    }
    return !left;
}

bool json_number(struct span value, uint64_t *number)
{
    return value.length && span_digit(*value.at) < 10 && span_is_number(value, number);
}

// ---- writing ----

void json_print_text(struct printer *to, const char *text, size_t length)
{
    static const char escaped[] = "\"\\\b\f\n\r\t", escapes[] = "\"\\bfnrt";
    for (size_t i = 0; i < length; i++) {
        size_t plain = i;
        while (i < length && text[i] >= ' ' && text[i] <= '~' && text[i] != '"' && text[i] != '\\')
            i++;
        if (i > plain)
            to->write(to, text + plain, i - plain);
        if (i == length)
            return;
        const char *known = text[i] ? strchr(escaped, text[i]) : NULL;
        if (known)
            print_to(to, "\\%c", escapes[known - escaped]);
        else
            print_to(to, "\\u%04x", (unsigned)(uint8_t)text[i]);
    }
}

void json_print(struct printer *to, const char *text)
{
    to->write(to, "\"", 1);
    json_print_text(to, text, strlen(text));
    to->write(to, "\"", 1);
}

void json_print_value(struct printer *to, struct span value)
{
    struct json_scan scan = {0};
    for (size_t i = 0; i < value.length; i++) {
        bool is_blank = span_is_blank(value.at[i]) && !scan.in_string;
        (void)json_scan(&scan, value.at[i]);
        if (!is_blank)
            to->write(to, value.at + i, 1);
    }
}
