// A guest that says anything on its agent's port, and a terminal that does: nothing is held beyond
// its bounds, every order comes to an end, and what the operator reads is text.

#include <string.h>

#include "monitor/guest_agent.h"
#include "monitor/size_query.h"
#include "tests/fuzz/require.h"

#define SECOND UINT64_C(1000000000)

static struct guest_agent agent;
static struct size_query query;
static char answer[100];

static void require_text(void)
{
    size_t length = strlen(answer);
    require(length > 0 && length < sizeof(answer));
    for (size_t i = 0; i < length; i++)
        require(answer[i] >= ' ' && answer[i] <= '~');
}

static bool attend(uint64_t now)
{
    if (guest_agent_attend(&agent, now, answer, sizeof(answer)) == AGENT_WAITS)
        return false;
    require_text();
    return true;
}

static void hear(const uint8_t *bytes, size_t length, uint64_t now)
{
    for (size_t i = 0; i < length; i++) {
        uint8_t typed[SIZE_HELD];
        bool is_answered;
        require(size_query_take(&query, bytes[i], typed, &is_answered) <= SIZE_HELD);
        require(!is_answered || (query.rows && query.columns));
        while (!ring_put(&agent.line.printed, bytes[i]))
            (void)attend(now);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char synchronized[] = "\xff{\"return\":1}\n";
    enum agent_order order = size ? 1 + data[0] % (AGENT_ORDERS - 1U) : AGENT_PING;
    guest_agent_init(&agent);
    query = (struct size_query){0};
    size_query_begin(&query, 0);
    require(guest_agent_order(&agent, order, 0));
    if (size && data[0] & 0x80) // so that answers are looked at
        hear((const uint8_t *)synchronized, sizeof(synchronized) - 1, 0);
    bool has_ended = attend(0);
    hear(data, size, SECOND);
    has_ended = attend(SECOND) || agent.order == AGENT_NOTHING || has_ended;
    require(attend(100 * SECOND) || has_ended || attend(200 * SECOND));
    require(agent.order == AGENT_NOTHING && ring_used(&agent.line.typed) <= AGENT_RINGS);
    return 0;
}
