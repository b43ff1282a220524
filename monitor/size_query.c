// The answer is CSI 8 ; rows ; columns t.

#include "monitor/size_query.h"

#include "lib/span.h"
#include "lib/string.h"

#define WAIT_NS UINT64_C(2000000000)

#define ESCAPE 033

static const char begin[] = "\033[8;";

void size_query_begin(struct size_query *query, uint64_t now)
{
    query->deadline = now + WAIT_NS;
}

// All but the last bytes, so many of them.
static unsigned let_go(struct size_query *query, unsigned kept, uint8_t out[SIZE_HELD])
{
    unsigned length = query->length - kept;
    memcpy(out, query->held, length);
    memmove(query->held, query->held + length, kept);
    query->length = kept;
    return length;
}

// Whether what is held may still become an answer.
static bool may_be_answer(const struct size_query *query)
{
    unsigned known = MIN(query->length, sizeof(begin) - 1);
    if (memcmp(query->held, begin, known) != 0)
        return false;
    for (unsigned i = known; i < query->length; i++) {
        uint8_t byte = query->held[i];
        if (!(byte >= '0' && byte <= '9') && byte != ';')
            return false;
    }
    return query->length < SIZE_HELD;
}

static bool is_size(uint64_t number)
{
    return number - 1 < SIZE_MOST;
}

static bool parse(struct size_query *query)
{
    struct span rest = {(const char *)query->held, query->length}, part;
    uint64_t rows, columns;
    if (rest.length < sizeof(begin) || memcmp(rest.at, begin, sizeof(begin) - 1) != 0)
        return false;
    rest = (struct span){rest.at + sizeof(begin) - 1, rest.length - (sizeof(begin) - 1)};
    if (!span_split(&rest, ';', &part) || !span_is_number(part, &rows) ||
        !span_is_number(rest, &columns) || !is_size(rows) || !is_size(columns))
        return false;
    query->rows = (uint16_t)rows;
    query->columns = (uint16_t)columns;
    return true;
}

unsigned size_query_take(struct size_query *query, uint8_t byte, uint8_t out[SIZE_HELD],
                         bool *is_answered)
{
    *is_answered = false;
    if (!query->deadline) {
        out[0] = byte;
        return 1;
    }
    if (byte == 't' && parse(query)) {
        *is_answered = true;
        query->deadline = 0;
        query->length = 0;
        return 0;
    }
    query->held[query->length++] = byte;
    return may_be_answer(query) ? 0 : let_go(query, byte == ESCAPE, out);
}

unsigned size_query_attend(struct size_query *query, uint64_t now, uint8_t out[SIZE_HELD])
{
    if (!query->deadline || now < query->deadline)
        return 0;
    query->deadline = 0;
    return let_go(query, 0, out);
}
