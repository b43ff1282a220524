// A text that may be JSON: it is taken or not, nothing is read beyond its end, and what is good can
// be walked, written and read again, to the same.

#include <string.h>

#include "lib/json.h"
#include "tests/fuzz/require.h"

#define TEXT 4096

static char written[2][TEXT + 1];
static size_t length;

static void collect(struct printer *printer, const char *text, size_t bytes)
{
    (void)printer;
    require(length + bytes <= TEXT);
    memcpy(written[0] + length, text, bytes);
    length += bytes;
}

// Each value lies in the one that holds it, is good by itself, and is seen once.
static unsigned walk(struct span value, unsigned depth)
{
    char text[TEXT];
    unsigned count = 1;
    uint64_t number;
    struct span rest = value, name, part, found;
    require(depth <= JSON_DEPTH && json_is_good(value));
    if (json_is(value, '"'))
        require(json_string(value, text, sizeof(text)) && json_is_string(value, text));
    else
        require(!json_string(value, text, sizeof(text)) && !json_is_string(value, ""));
    (void)json_number(value, &number);
    while (json_next(&rest, &name, &part)) {
        require(part.at > value.at && part.at + part.length < value.at + value.length);
        if (json_is(value, '{')) {
            require(json_string(name, text, sizeof(text)) && json_member(value, text, &found));
            require(found.at <= part.at);
        }
        count += walk(part, depth + 1);
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct printer to = {collect};
    struct span text = {(const char *)data, size};
    struct json_scan scan = {0};
    unsigned ends = 0;
    if (size > TEXT || !json_is_good(text))
        return 0;
    text = span_trim(text);
    unsigned values = walk(text, 0);
    for (size_t i = 0; i < text.length; i++)
        ends += json_scan(&scan, text.at[i]);
    require(ends == (json_is(text, '{') || json_is(text, '[')) && !scan.depth);
    length = 0;
    json_print_value(&to, text);
    require(walk((struct span){written[0], length}, 0) == values);
    memcpy(written[1], written[0], length);
    struct span again = {written[1], length};
    length = 0;
    json_print_value(&to, again);
    require(length == again.length && memcmp(written[0], written[1], length) == 0);
    return 0;
}
