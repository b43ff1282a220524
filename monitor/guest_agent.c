// The agent's side of the conversation is bounded: a line of AGENT_LINE bytes, and a time for each
// answer.

#include "monitor/guest_agent.h"

#include "lib/json.h"
#include "lib/string.h"

#define DELIMITER 0xff
#define SECOND    UINT64_C(1000000000)
#define SYNC_TIME (3 * SECOND) // who is there answers by then

static const struct {
    const char *command;
    const char *done; // for the operator; NULL: the answer says it
    uint64_t time;
    bool is_silent; // if all is well
} orders[AGENT_ORDERS] = {
    [AGENT_PING] = {"guest-ping", "it answers", 3 * SECOND, false},
    [AGENT_FREEZE] = {"guest-fsfreeze-freeze", "file systems are frozen", 60 * SECOND, false},
    [AGENT_THAW] = {"guest-fsfreeze-thaw", "file systems are thawed", 60 * SECOND, false},
    [AGENT_STATUS] = {"guest-fsfreeze-status", NULL, 3 * SECOND, false},
    [AGENT_SHUTDOWN] = {"guest-shutdown", "the guest shuts itself down", 3 * SECOND, true},
};

void guest_agent_init(struct guest_agent *agent)
{
    memset(agent, 0, sizeof(*agent));
    ring_init(&agent->line.printed, agent->printed, AGENT_RINGS);
    ring_init(&agent->line.typed, agent->typed, AGENT_RINGS);
}

// ---- what is asked ----

// What an order says fits the ring: nothing of an older one is in it.
static void send(struct guest_agent *agent, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        (void)ring_put(&agent->line.typed, (uint8_t)text[i]);
}

bool guest_agent_order(struct guest_agent *agent, enum agent_order order, uint64_t now)
{
    char text[128];
    if (agent->order != AGENT_NOTHING)
        return false;
    // The delimiter ends what the agent may have read of an older line.
    size_t length = format_text(
        text, sizeof(text), "%c{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":%u}}\n",
        DELIMITER, agent->number + 1);
    send(agent, text, length);
    agent->number++;
    agent->order = order;
    agent->is_synchronized = false;
    agent->deadline = now + SYNC_TIME;
    return true;
}

static void ask(struct guest_agent *agent, uint64_t now)
{
    char text[128];
    agent->is_synchronized = true;
    agent->deadline = now + orders[agent->order].time;
    send(agent, text,
         format_text(text, sizeof(text), "{\"execute\":\"%s\"}\n", orders[agent->order].command));
}

// ---- what is answered ----

// A value as text for the operator's terminal.
static void quote(struct span value, char *text, size_t size)
{
    if (!json_string(value, text, size))
        format_text(text, size, "%.*s", (int)value.length, value.at);
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            *text = '?';
}

static enum agent_result judge(struct guest_agent *agent, struct span line, char *answer,
                               size_t size)
{
    struct span value, why;
    char text[128];
    if (json_member(line, "error", &value)) {
        quote(json_member(value, "desc", &why) ? why : value, text, sizeof(text));
        format_text(answer, size, "it refuses: %s", text);
        return AGENT_REFUSED;
    }
    if (!json_member(line, "return", &value))
        return AGENT_WAITS; // it may be anything, but is no answer
    uint64_t number;
    quote(value, text, sizeof(text));
    if (!orders[agent->order].done)
        format_text(answer, size, "file systems are %s", text);
    else if (json_number(value, &number))
        format_text(answer, size, "%lu %s", number, orders[agent->order].done);
    else
        format_text(answer, size, "%s", orders[agent->order].done);
    return AGENT_DONE;
}

static enum agent_result hear(struct guest_agent *agent, uint64_t now, char *answer, size_t size)
{
    struct span line = {agent->text, agent->length}, value;
    uint64_t number;
    if (agent->order == AGENT_NOTHING || !json_is_good(line))
        return AGENT_WAITS;
    if (agent->is_synchronized)
        return judge(agent, line, answer, size);
    bool is_ours = agent->is_delimited && json_member(line, "return", &value) &&
                   json_number(value, &number) && number == agent->number;
    if (is_ours)
        ask(agent, now);
    return AGENT_WAITS;
}

// The next line, within *left bytes. False: there is none yet. One that is too long comes out cut.
static bool read_line(struct guest_agent *agent, unsigned *left)
{
    for (int byte; *left && (byte = ring_get(&agent->line.printed)) >= 0; --*left) {
        if (byte == DELIMITER) {
            agent->length = 0;
            agent->is_delimited = true;
        } else if (byte == '\n') {
            --*left;
            return true;
        } else if (agent->length < sizeof(agent->text)) {
            agent->text[agent->length++] = (char)byte;
        }
    }
    return false;
}

static enum agent_result give_up(struct guest_agent *agent, char *answer, size_t size)
{
    bool is_read = agent->is_synchronized && !ring_used(&agent->line.typed);
    bool is_done = is_read && orders[agent->order].is_silent;
    format_text(answer, size, "%s", is_done ? orders[agent->order].done : "it does not answer");
    return is_done ? AGENT_DONE : AGENT_SILENT;
}

enum agent_result guest_agent_attend(struct guest_agent *agent, uint64_t now, char *answer,
                                     size_t size)
{
    enum agent_result result = AGENT_WAITS;
    unsigned left = AGENT_RINGS; // a guest that speaks all the time is heard a ring at a time
    while (result == AGENT_WAITS && read_line(agent, &left)) {
        result = hear(agent, now, answer, size);
        agent->length = 0;
        agent->is_delimited = false;
    }
    if (result == AGENT_WAITS && agent->order != AGENT_NOTHING && now >= agent->deadline)
        result = give_up(agent, answer, size);
    if (result != AGENT_WAITS) {
        agent->order = AGENT_NOTHING;
        // An agent that comes later must not do then what was given up now.
        ring_took(&agent->line.typed, ring_used(&agent->line.typed));
    }
    return result;
}
